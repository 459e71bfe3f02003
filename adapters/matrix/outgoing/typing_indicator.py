"""Typing indicators of all rooms, each shown while any answer is being written there."""

import asyncio
import logging
from contextlib import suppress

from adapters.delivery.errors import TransientFailure
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.homeserver import Homeserver, LoggedOut, RequestRefused
from adapters.matrix.limits import TYPING_S

log = logging.getLogger(__name__)

RENEWED_S = TYPING_S - 5
LONGEST_S = 900.0
"""Typing of answers that never end is shown no longer than this."""


class TypingIndicators:
    """Typing in all rooms. A failure to show it fails no answer: the answer itself runs into the same error."""

    def __init__(self, homeserver: Homeserver) -> None:
        self._homeserver = homeserver
        self._writers: dict[str, set[object]] = {}
        self._changes: dict[str, asyncio.Event] = {}
        self._background = BackgroundTasks()

    def start(self, room_id: str, writer: object) -> None:
        """Show typing in a room until all of its writers have stopped."""
        self._writers.setdefault(room_id, set()).add(writer)
        if room_id not in self._changes:
            self._changes[room_id] = asyncio.Event()
            self._background.start(self._keep_typing(room_id), "Typing")

    def stop(self, room_id: str, writer: object) -> None:
        """The writer has stopped."""
        self._writers.get(room_id, set()).discard(writer)
        if room_id in self._changes and not self._writers[room_id]:
            self._changes[room_id].set()

    async def close(self) -> None:
        """Stop all updates; typing that is shown fades."""
        await self._background.close()

    async def _keep_typing(self, room_id: str) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_S):
                    await self._renew_while_writing(room_id)
                    return
            await self._set_typing(room_id, False)
        finally:
            del self._changes[room_id], self._writers[room_id]

    async def _renew_while_writing(self, room_id: str) -> None:
        writers, change = self._writers[room_id], self._changes[room_id]
        while writers:
            change.clear()
            await self._set_typing(room_id, True)
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEWED_S):
                    await change.wait()
            if not writers:
                await self._set_typing(room_id, False)  # a writer that began meanwhile is noticed next

    async def _set_typing(self, room_id: str, shown: bool) -> None:
        try:
            await self._homeserver.set_typing(room_id, shown)
        except (TransientFailure, RequestRefused, LoggedOut) as error:
            log.debug("Could not set typing in %s: %s", room_id, error)

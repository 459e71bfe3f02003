"""Shows in each room that an answer is being written, for as long as any is."""

import asyncio
import logging
from contextlib import suppress

from adapters.matrix.background_tasks import Background
from adapters.matrix.homeserver import LoggedOut, Refused, Unsettled, Wire
from adapters.matrix.limits import TYPING_S

log = logging.getLogger(__name__)

RENEWED_S = TYPING_S - 5
LONGEST_S = 900.0
"""Answers that nobody ends show typing no longer than this."""


class Indicator:
    """Typing in all rooms. That it cannot be shown fails no answer: the answer itself will tell."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._writers: dict[str, set[object]] = {}
        self._changes: dict[str, asyncio.Event] = {}
        self._background = Background()

    def start(self, room_id: str, writer: object) -> None:
        """Somebody writes in a room from now on."""
        self._writers.setdefault(room_id, set()).add(writer)
        if room_id not in self._changes:
            self._changes[room_id] = asyncio.Event()
            self._background.start(self._keep(room_id), "Typing")

    def stop(self, room_id: str, writer: object) -> None:
        """Somebody writes there no longer."""
        self._writers.get(room_id, set()).discard(writer)
        if room_id in self._changes and not self._writers[room_id]:
            self._changes[room_id].set()

    async def close(self) -> None:
        """Show nothing more; what is shown fades."""
        await self._background.close()

    async def _keep(self, room_id: str) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_S):
                    await self._follow(room_id)
                    return
            await self._tell(room_id, False)
        finally:
            del self._changes[room_id], self._writers[room_id]

    async def _follow(self, room_id: str) -> None:
        writers, change = self._writers[room_id], self._changes[room_id]
        while writers:
            change.clear()
            await self._tell(room_id, True)
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEWED_S):
                    await change.wait()
            if not writers:
                await self._tell(room_id, False)  # whoever begins meanwhile is seen to next

    async def _tell(self, room_id: str, shown: bool) -> None:
        try:
            await self._wire.typing(room_id, shown)
        except (Unsettled, Refused, LoggedOut) as error:
            log.debug("Typing is not told in %s: %s", room_id, error)

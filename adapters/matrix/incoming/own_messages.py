"""Knows which messages are ours and in which threads we take part; where memory does not reach, the homeserver says."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from adapters.matrix import retry
from adapters.matrix.bounded_dict import put
from adapters.matrix.event_content import MESSAGE, THREAD, relation_of
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Refused, Wire
from adapters.matrix.incoming.pills import Us, means
from adapters.matrix.incoming.plain_text import written

log = logging.getLogger(__name__)

ASKED_FOR_S = 120.0
"""The longest that the homeserver is asked whether a message is for us; the room's newer ones wait for it."""

KEPT = 2000
THREAD_EVENTS = 50
"""How far back in a thread we look for ourselves."""

Found = TypeVar("Found")


class Threads(Protocol):
    """The threads in which we take part, by their roots; remembered over restarts."""

    def own(self, thread_root: str) -> None:
        """From now on we take part in a thread."""
        ...

    def owns(self, thread_root: str) -> bool:
        """Whether it is known that we take part in a thread."""
        ...


class Ours:
    """What we wrote, and where."""

    def __init__(self, wire: Wire, threads: Threads) -> None:
        self._wire = wire
        self._threads = threads
        self._written: dict[str, bool] = {}
        self._foreign: dict[str, None] = {}

    def note(self, event: Event) -> None:
        """A message has come by."""
        ours = event.sender == self._wire.user_id
        put(self._written, event.event_id, ours, KEPT)
        if ours and (root := relation_of(event.content).thread):
            self.own(root)

    def own(self, thread_root: str) -> None:
        """From now on we take part in a thread."""
        self._threads.own(thread_root)

    async def wrote(self, room_id: str, event_id: str) -> bool:
        """Whether a message is ours; one that is out of reach is not."""
        if event_id not in self._written:
            event = await patiently(lambda: self._wire.event(room_id, event_id))
            if event is None:
                return False
            put(self._written, event_id, event.sender == self._wire.user_id, KEPT)
        return self._written[event_id]

    async def takes_part(self, room_id: str, thread_root: str, us: Us) -> bool:
        """Whether we opened a thread, were mentioned in its first message, or wrote in it."""
        if self._threads.owns(thread_root):
            return True
        if thread_root in self._foreign:
            return False
        found = await patiently(lambda: self._look(room_id, thread_root, us))
        if found:
            self.own(thread_root)
        elif found is not None:
            put(self._foreign, thread_root, None, KEPT)
        return bool(found)

    async def _look(self, room_id: str, thread_root: str, us: Us) -> bool:
        root = await self._wire.event(room_id, thread_root)
        if root.sender == us.user_id or (root.type == MESSAGE and means(root.content, written(root.content), us)):
            return True
        replies = await self._wire.related(room_id, thread_root, THREAD, THREAD_EVENTS)
        return any(reply.sender == us.user_id for reply in replies)


async def patiently(ask: Callable[[], Awaitable[Found]]) -> Found | None:
    """What the homeserver says, asked again while it does not settle it; None when it refuses, or never settles."""
    try:
        async with asyncio.timeout(ASKED_FOR_S):
            return await retry.patiently(ask, tries=None)
    except TimeoutError:
        log.warning("The homeserver did not say in time whether a message is for us; it is left alone.")
    except Refused as error:
        log.debug("What a message refers to is out of reach: %s", error)
    return None

"""Knows which messages are ours and in which threads we take part; where memory does not reach, the homeserver says."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from adapters.matrix import retry
from adapters.matrix.bounded_dict import put_bounded
from adapters.matrix.event_content import MESSAGE, THREAD, relation_of
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.incoming.pills import BotIdentity, mentions_bot
from adapters.matrix.incoming.plain_text import typed_text

log = logging.getLogger(__name__)

ASKED_FOR_S = 120.0
"""The longest that the homeserver is asked whether a message is for us; the room's newer ones wait for it."""

IDS_KEPT = 2000
THREAD_EVENTS = 50
"""How far back in a thread we look for ourselves."""

Found = TypeVar("Found")


class JoinedThreads(Protocol):
    """The threads in which we take part, by their roots; remembered over restarts."""

    def join_thread(self, thread_root: str) -> None:
        """From now on we take part in a thread."""
        ...

    def is_in_thread(self, thread_root: str) -> bool:
        """Whether it is known that we take part in a thread."""
        ...


class OwnMessages:
    """What we wrote, and where."""

    def __init__(self, wire: Homeserver, threads: JoinedThreads) -> None:
        self._homeserver = wire
        self._threads = threads
        self._written: dict[str, bool] = {}
        self._foreign: dict[str, None] = {}

    def note_message(self, event: Event) -> None:
        """A message has come by."""
        ours = event.sender == self._homeserver.user_id
        put_bounded(self._written, event.event_id, ours, IDS_KEPT)
        if ours and (root := relation_of(event.content).thread):
            self.join_thread(root)

    def join_thread(self, thread_root: str) -> None:
        """From now on we take part in a thread."""
        self._threads.join_thread(thread_root)

    async def is_own_message(self, room_id: str, event_id: str) -> bool:
        """Whether a message is ours; one that is out of reach is not."""
        if event_id not in self._written:
            event = await fetch_or_none(lambda: self._homeserver.get_event(room_id, event_id))
            if event is None:
                return False
            put_bounded(self._written, event_id, event.sender == self._homeserver.user_id, IDS_KEPT)
        return self._written[event_id]

    async def takes_part_in(self, room_id: str, thread_root: str, us: BotIdentity) -> bool:
        """Whether we opened a thread, were mentioned in its first message, or wrote in it."""
        if self._threads.is_in_thread(thread_root):
            return True
        if thread_root in self._foreign:
            return False
        found = await fetch_or_none(lambda: self._query_thread(room_id, thread_root, us))
        if found:
            self.join_thread(thread_root)
        elif found is not None:
            put_bounded(self._foreign, thread_root, None, IDS_KEPT)
        return bool(found)

    async def _query_thread(self, room_id: str, thread_root: str, us: BotIdentity) -> bool:
        root = await self._homeserver.get_event(room_id, thread_root)
        if root.sender == us.user_id or (
            root.type == MESSAGE and mentions_bot(root.content, typed_text(root.content), us)
        ):
            return True
        replies = await self._homeserver.get_relations(room_id, thread_root, THREAD, THREAD_EVENTS)
        return any(reply.sender == us.user_id for reply in replies)


async def fetch_or_none(ask: Callable[[], Awaitable[Found]]) -> Found | None:
    """What the homeserver says, asked again while it does not settle it; None when it refuses, or never settles."""
    try:
        async with asyncio.timeout(ASKED_FOR_S):
            return await retry.retry(ask, tries=None)
    except TimeoutError:
        log.warning("The homeserver did not say in time whether a message is for us; it is left alone.")
    except RequestRefused as error:
        log.debug("What a message refers to is out of reach: %s", error)
    return None

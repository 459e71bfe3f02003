"""Knows the authors of messages, and the bot's threads; asks the homeserver about those it does not remember."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from adapters.matrix import retry
from adapters.matrix.event_content import MESSAGE, THREAD
from adapters.matrix.homeserver import Homeserver, RequestRefused
from adapters.matrix.incoming.mentions import BotIdentity, mentions_bot
from adapters.matrix.incoming.parsed_message import ParsedMessage, parse_message
from adapters.storage.bounded_dict import put_bounded

log = logging.getLogger(__name__)

ASKED_FOR_S = 120.0
"""Time limit for asking the homeserver about a message; newer messages of the room wait for it."""

IDS_KEPT = 2000
THREAD_EVENTS = 50
"""How far back in a thread the bot's messages are searched."""

Found = TypeVar("Found")


class JoinedThreads(Protocol):
    """The threads that Hearth takes part in, by their roots, kept over restarts."""

    def join_thread(self, thread: str) -> None:
        """Note that Hearth takes part in a thread."""
        ...

    def is_in_thread(self, thread: str) -> bool:
        """Whether Hearth is known to take part in a thread."""
        ...


class OwnMessages:
    """The bot's messages, and the threads it takes part in."""

    def __init__(self, homeserver: Homeserver, threads: JoinedThreads) -> None:
        self._homeserver = homeserver
        self._threads = threads
        self._authors: dict[str, str] = {}
        self._other_threads: dict[str, None] = {}

    def note_message(self, message: ParsedMessage) -> None:
        """Note the author of a message."""
        put_bounded(self._authors, message.event_id, message.sender, IDS_KEPT)
        if message.sender == self._homeserver.user_id and message.relation.thread:
            self.join_thread(message.relation.thread)

    def join_thread(self, thread_root: str) -> None:
        """Note that Hearth takes part in a thread."""
        self._threads.join_thread(thread_root)

    async def is_own_message(self, room_id: str, event_id: str) -> bool:
        """Whether the bot wrote a message; False when that cannot be found out."""
        return await self.author_of(room_id, event_id) == self._homeserver.user_id

    async def author_of(self, room_id: str, event_id: str) -> str:
        """The author of a message; empty when that cannot be found out."""
        if event_id not in self._authors:
            event = await fetch_or_none(lambda: self._homeserver.get_event(room_id, event_id))
            if event is None:
                return ""
            put_bounded(self._authors, event_id, event.sender, IDS_KEPT)
        return self._authors[event_id]

    async def takes_part_in(self, room_id: str, thread_root: str, bot: BotIdentity) -> bool:
        """Whether the bot opened a thread, was mentioned in its first message, or wrote in it."""
        if self._threads.is_in_thread(thread_root):
            return True
        if thread_root in self._other_threads:
            return False
        found = await fetch_or_none(lambda: self._query_thread(room_id, thread_root, bot))
        if found:
            self.join_thread(thread_root)
        elif found is not None:
            put_bounded(self._other_threads, thread_root, None, IDS_KEPT)
        return bool(found)

    async def _query_thread(self, room_id: str, thread_root: str, bot: BotIdentity) -> bool:
        root = parse_message(await self._homeserver.get_event(room_id, thread_root))
        if root.sender == bot.user_id or (root.event.type == MESSAGE and mentions_bot(root, root.typed, bot)):
            return True
        replies = await self._homeserver.get_relations(room_id, thread_root, THREAD, THREAD_EVENTS)
        return any(reply.sender == bot.user_id for reply in replies)


async def fetch_or_none(fetch: Callable[[], Awaitable[Found]]) -> Found | None:
    """The homeserver's answer, asked again after transient failures; None when it refuses, or after a time limit."""
    try:
        async with asyncio.timeout(ASKED_FOR_S):
            return await retry.retry(fetch, tries=None)
    except TimeoutError:
        log.warning("Gave up asking the homeserver whether a message is addressed to Hearth; ignoring the message.")
    except RequestRefused as error:
        log.debug("Could not read the event that a message refers to: %s", error)
    return None

"""Reads what goes with a question, for this one answer: what was said before it, and its files."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.matrix.event_content import NOTICE, get_text, relation_of
from adapters.matrix.events import Event
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.incoming.attachments import caption_of, fetch_attachments, files_before, is_file, parse_file
from adapters.matrix.incoming.display_names import DisplayNames
from adapters.matrix.incoming.pills import BotIdentity
from adapters.matrix.incoming.plain_text import to_plain_text, typed_text
from adapters.matrix.incoming.room_history import RoomHistory
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Attachment, ContextMessage

log = logging.getLogger(__name__)

FILE_SEARCH_MESSAGES = 12
"""Messages before a question among which its files are sought: people put files down, and then ask."""


@dataclass(frozen=True, slots=True)
class QuestionContext:
    """What was read to go with a question."""

    context: tuple[ContextMessage, ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The messages around a question: those it replies to, the nearest first, and the last ones, oldest first."""

    reply_chain: Sequence[Event] = ()
    recent: Sequence[Event] = ()


class ContextReader:
    """Reads along with questions."""

    def __init__(self, wire: Homeserver, settings: MatrixSettings) -> None:
        self._homeserver = wire
        self._settings = settings
        self._history = RoomHistory(wire)

    async def read_context(
        self, event: Event, us: BotIdentity, names: DisplayNames, is_direct: bool
    ) -> QuestionContext:
        """What goes with a question, as far as it can be read in time."""
        settings, deadline = self._settings, asyncio.get_running_loop().time() + self._settings.read_timeout_s
        # Files are put down for us only where everything is for us; elsewhere they belong to the room.
        theirs = is_direct or bool(relation_of(event.content).thread)
        recent = settings.recent_limit(event.room_id)
        around = await self._read_surroundings(event, max(recent, FILE_SEARCH_MESSAGES if theirs else 0), deadline)
        files = select_files(event, around, settings.attachment_limit, theirs)
        found = [file for each in files if (file := parse_file(each.content)) is not None]
        above = around.reply_chain[: settings.reply_chain_limit]
        return QuestionContext(
            context_messages(above, around.recent[-recent:] if recent else (), us, names),
            await fetch_attachments(self._homeserver, found, settings.attachment_bytes, deadline),
        )

    async def _read_surroundings(self, event: Event, last: int, deadline: float) -> Surroundings:
        around = Surroundings()
        try:
            async with asyncio.timeout_at(deadline):
                above = await self._history.read_reply_chain(event, max(self._settings.reply_chain_limit, 1))
                around = Surroundings(above)
                around = Surroundings(above, await self._history.read_recent(event, last))
        except TimeoutError:
            log.warning("What %s refers to could not be read in time.", event.event_id)
        return around


def select_files(event: Event, around: Surroundings, count: int, theirs: bool) -> list[Event]:
    """The files that go with a question, the surest first: itself, then the message it replies to, or else what its
    author put down before it, if that is theirs to give.
    """
    files = [event] if is_file(event.content) else []
    if around.reply_chain and is_file(around.reply_chain[0].content):
        files.append(around.reply_chain[0])
    elif theirs:
        files += files_before(around.recent, event.sender, count)
    return files[:count]


def context_messages(
    above: Sequence[Event], last: Sequence[Event], us: BotIdentity, names: DisplayNames
) -> tuple[ContextMessage, ...]:
    """What was said, nothing twice: the last messages oldest first, then the reply chain, oldest first. Our notices,
    which say how things stand, are not.
    """
    chain = list(above)[::-1]
    known = {event.event_id for event in chain}
    heard = [event for event in last if event.event_id not in known and not _is_status(event, us)]
    spoken = [
        ContextMessage(
            us.display_name if event.sender == us.user_id else names.display_name(event.sender),
            message_text(event, us, names),
        )
        for event in (*heard, *chain)
    ]
    return tuple(each for each in spoken if each.text)


def message_text(event: Event, us: BotIdentity, names: DisplayNames) -> str:
    """A message's text for people; of a file what was said with it, or its name."""
    file = parse_file(event.content)
    if file is None:
        return to_plain_text(event.content, typed_text(event.content), us, names.known_name)
    caption = to_plain_text(event.content, caption_of(event.content), us, names.known_name)
    return caption or f"[{file.name}]"


def _is_status(event: Event, us: BotIdentity) -> bool:
    return event.sender == us.user_id and get_text(event.content, "msgtype") == NOTICE

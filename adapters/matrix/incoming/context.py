"""Reads the context of a question, for this one answer: earlier messages, and its files."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.matrix.event_content import NOTICE
from adapters.matrix.homeserver import Homeserver
from adapters.matrix.ids import person_id
from adapters.matrix.incoming.attachments import fetch_attachments, files_before
from adapters.matrix.incoming.display_names import DisplayNames
from adapters.matrix.incoming.file_info import FileInfo
from adapters.matrix.incoming.mentions import BotIdentity
from adapters.matrix.incoming.parsed_message import ParsedMessage
from adapters.matrix.incoming.plain_text import to_plain_text
from adapters.matrix.incoming.room_history import RoomHistory
from adapters.matrix.incoming.typed_text import strip_footer
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Attachment, ContextMessage

log = logging.getLogger(__name__)

FILE_SEARCH_MESSAGES = 12
"""Messages before a question among which its files are searched: people send files first, and then ask."""


@dataclass(frozen=True, slots=True)
class QuestionContext:
    """Earlier messages and files that belong to a question."""

    context: tuple[ContextMessage, ...] = ()
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The messages near a question: those it replies to, the nearest first, and the last ones, oldest first."""

    reply_chain: Sequence[ParsedMessage] = ()
    recent: Sequence[ParsedMessage] = ()


class ContextReader:
    """Reads the context of questions."""

    def __init__(self, homeserver: Homeserver, settings: MatrixSettings) -> None:
        self._homeserver = homeserver
        self._settings = settings
        self._history = RoomHistory(homeserver)

    async def read_context(
        self, message: ParsedMessage, bot: BotIdentity, names: DisplayNames, is_direct: bool
    ) -> QuestionContext:
        """The context of a question, as far as it can be read in time."""
        settings, deadline = self._settings, asyncio.get_running_loop().time() + self._settings.read_timeout_s
        # Only where every message is addressed to the bot is a bare file too; elsewhere it belongs to the room.
        takes_bare_files = is_direct or bool(message.relation.thread)
        recent = settings.recent_limit(message.room_id)
        limit = max(recent, FILE_SEARCH_MESSAGES if takes_bare_files else 0)
        surroundings = await self._read_surroundings(message, limit, deadline)
        files = select_files(message, surroundings, settings.attachment_limit, takes_bare_files)
        chain = surroundings.reply_chain[: settings.reply_chain_limit]
        return QuestionContext(
            context_messages(chain, surroundings.recent[-recent:] if recent else (), bot, names),
            await fetch_attachments(self._homeserver, files, settings.attachment_bytes, deadline),
        )

    async def _read_surroundings(self, message: ParsedMessage, recent_limit: int, deadline: float) -> Surroundings:
        surroundings = Surroundings()
        try:
            async with asyncio.timeout_at(deadline):
                chain = await self._history.read_reply_chain(message, max(self._settings.reply_chain_limit, 1))
                surroundings = Surroundings(chain)
                surroundings = Surroundings(chain, await self._history.read_recent(message, recent_limit))
        except TimeoutError:
            log.warning("Gave up reading the context of %s: it took too long.", message.event_id)
        return surroundings


def select_files(
    message: ParsedMessage, surroundings: Surroundings, count: int, takes_bare_files: bool
) -> list[FileInfo]:
    """The files that belong to a question, the most certain first: its own, then that of the message it replies to, or
    else the bare files that its author sent before it.
    """
    files = [message.file] if message.file else []
    if surroundings.reply_chain and surroundings.reply_chain[0].file:
        files.append(surroundings.reply_chain[0].file)
    elif takes_bare_files:
        files += files_before(surroundings.recent, message.sender, count)
    return files[:count]


def context_messages(
    reply_chain: Sequence[ParsedMessage], recent: Sequence[ParsedMessage], bot: BotIdentity, names: DisplayNames
) -> tuple[ContextMessage, ...]:
    """The earlier messages, none twice: the last messages oldest first, then the reply chain, oldest first. The bot's
    notices, which are about its own state, are left out.
    """
    chain = list(reply_chain)[::-1]
    known = {message.event_id for message in chain}
    others = [message for message in recent if message.event_id not in known and not _is_status(message, bot)]
    read = [
        ContextMessage(
            bot.display_name if message.sender == bot.user_id else names.display_name(message.sender),
            message_text(message, bot, names),
            "" if message.sender == bot.user_id else person_id(message.sender),
        )
        for message in (*others, *chain)
    ]
    return tuple(each for each in read if each.text)


def message_text(message: ParsedMessage, bot: BotIdentity, names: DisplayNames) -> str:
    """A message's text as people read it; of a file its caption, or its name. The bot's own come without the note and
    the sources below them.
    """
    if message.file is None:
        is_own = message.sender == bot.user_id
        text = strip_footer(message.typed, message.formatted_body) if is_own else message.typed
        return to_plain_text(message, text, bot, names.known_name)
    return to_plain_text(message, message.caption, bot, names.known_name) or f"[{message.file.name}]"


def _is_status(message: ParsedMessage, bot: BotIdentity) -> bool:
    return message.sender == bot.user_id and message.kind == NOTICE

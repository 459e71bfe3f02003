"""Makes a question of a message: reads what it refers to, and lets go what cannot be read in time."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

import discord

from adapters.discord.incoming import attachments, context
from adapters.discord.incoming.members import MemberDirectory
from adapters.discord.incoming.translate import DiscordQuestionContext, message_text, to_question
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Attachment, ContextMessage, Message

log = logging.getLogger(__name__)

Read = TypeVar("Read")


class MessageReader:
    """Reads on Discord, each part within the admin's time."""

    def __init__(self, bot: discord.Client, settings: DiscordSettings, people: MemberDirectory) -> None:
        self._bot = bot
        self._settings = settings
        self._members = people

    async def read_question(self, message: discord.Message) -> Message:
        """What the author of a message asks; its channel's last messages are read where the admin allows it."""
        return await self._read_message(message, self._settings.recent_limit(message.channel.id))

    async def read_target(self, message: discord.Message) -> Message:
        """What a message asks that somebody points at, as if its author did."""
        return await self._read_message(message, recent=0)

    async def read_recent(self, channel: discord.abc.Messageable, before_id: int) -> tuple[ContextMessage, ...]:
        """What was said in a channel before the moment of an id, as far as the admin lets it be read."""
        limit = self._settings.recent_limit(getattr(channel, "id", 0))
        return await self._with_timeout(
            context.read_recent(channel, before_id, limit, self._message_text), (), before_id
        )

    async def _read_message(self, message: discord.Message, recent: int) -> Message:
        said, files, standing = await asyncio.gather(
            self._with_timeout(
                context.read_context(message, self._settings.reply_chain_limit, recent, self._message_text),
                (),
                message.id,
            ),
            self._fetch_files(message),
            self._members.get_rights(message.author, self._settings.read_timeout_s),
        )
        return to_question(message, self._bot_user, self._settings, DiscordQuestionContext(said, files, standing))

    async def _fetch_files(self, message: discord.Message) -> tuple[Attachment, ...]:
        settings = self._settings
        above = await self._with_timeout(context.fetch_replied_to(message), None, message.id)
        files = [*message.attachments, *(above.attachments if above else ())]
        return await attachments.fetch_attachments(
            files[: settings.attachment_limit], settings.attachment_bytes, settings.read_timeout_s
        )

    async def _with_timeout(self, reading: Awaitable[Read], otherwise: Read, message_id: int) -> Read:
        try:
            async with asyncio.timeout(self._settings.read_timeout_s):
                return await reading
        except TimeoutError:
            log.warning("What message %d refers to could not be read in time.", message_id)
            return otherwise

    def _message_text(self, message: discord.Message) -> str:
        return message_text(message, self._bot_user)

    @property
    def _bot_user(self) -> discord.ClientUser:
        assert self._bot.user is not None, "nobody has asked us anything before we were logged in"
        return self._bot.user

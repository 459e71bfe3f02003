"""Turns messages into questions with their context; leaves out context that cannot be read in time."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

import discord

from adapters.discord.incoming import attachments, context
from adapters.discord.incoming.members import MemberDirectory
from adapters.discord.incoming.message_contents import all_files
from adapters.discord.incoming.translate import DiscordQuestionContext, to_context, to_question
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Attachment, ContextMessage, Message

log = logging.getLogger(__name__)

Read = TypeVar("Read")


class MessageReader:
    """Reads messages and their context, each part within the configured time."""

    def __init__(self, bot: discord.Client, settings: DiscordSettings, members: MemberDirectory) -> None:
        self._bot = bot
        self._settings = settings
        self._members = members

    async def read_question(self, message: discord.Message) -> Message:
        """The question that a message asks, with the channel's last messages where the admin allows it."""
        return await self._read_message(message, self._settings.recent_limit(message.channel.id))

    async def read_target(self, message: discord.Message) -> Message:
        """The question that a message asks to which another person points, without the channel's last messages."""
        return await self._read_message(message, recent=0)

    async def read_recent(self, channel: discord.abc.Messageable, before_id: int) -> tuple[ContextMessage, ...]:
        """The messages of a channel before the time of an id, as many as the admin allows."""
        limit = self._settings.recent_limit(getattr(channel, "id", 0))
        return await self._with_timeout(context.read_recent(channel, before_id, limit, self._to_context), (), before_id)

    async def _read_message(self, message: discord.Message, recent: int) -> Message:
        context_messages, files, rights = await asyncio.gather(
            self._with_timeout(
                context.read_context(message, self._settings.reply_chain_limit, recent, self._to_context),
                (),
                message.id,
            ),
            self._fetch_files(message),
            self._members.get_rights(message.author, self._settings.read_timeout_s),
        )
        return to_question(
            message, self._bot_user, self._settings, DiscordQuestionContext(context_messages, files, rights)
        )

    async def _fetch_files(self, message: discord.Message) -> tuple[Attachment, ...]:
        settings = self._settings
        replied_to = await self._with_timeout(context.fetch_replied_to(message), None, message.id)
        files = [*all_files(message), *(all_files(replied_to) if replied_to else ())]
        return await attachments.fetch_attachments(
            files[: settings.attachment_limit], settings.attachment_bytes, settings.read_timeout_s
        )

    async def _with_timeout(self, read: Awaitable[Read], fallback: Read, message_id: int) -> Read:
        try:
            async with asyncio.timeout(self._settings.read_timeout_s):
                return await read
        except TimeoutError:
            log.warning("Gave up reading the context of message %d: it took too long.", message_id)
            return fallback

    def _to_context(self, message: discord.Message) -> ContextMessage:
        return to_context(message, self._bot_user)

    @property
    def _bot_user(self) -> discord.ClientUser:
        assert self._bot.user is not None, "messages arrive only after the login"
        return self._bot.user

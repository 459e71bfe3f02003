"""Makes a question of a message: reads what it refers to, and lets go what cannot be read in time."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

import discord

from adapters.discord.incoming import attachments, context
from adapters.discord.incoming.members import People
from adapters.discord.incoming.translate import Enclosed, question_of, spoken
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Attachment, Message, Said

log = logging.getLogger(__name__)

Read = TypeVar("Read")


class Reading:
    """Reads on Discord, each part within the admin's time."""

    def __init__(self, bot: discord.Client, settings: DiscordSettings, people: People) -> None:
        self._bot = bot
        self._settings = settings
        self._people = people

    async def question(self, message: discord.Message) -> Message:
        """What the author of a message asks; its channel's last messages are read where the admin allows it."""
        return await self._question(message, self._settings.recent_in(message.channel.id))

    async def pointed_at(self, message: discord.Message) -> Message:
        """What a message asks that somebody points at, as if its author did."""
        return await self._question(message, recent=0)

    async def recall(self, channel: discord.abc.Messageable, before_id: int) -> tuple[Said, ...]:
        """What was said in a channel before the moment of an id, as far as the admin lets it be read."""
        limit = self._settings.recent_in(getattr(channel, "id", 0))
        return await self._in_time(context.recent(channel, before_id, limit, self._spoken), (), before_id)

    async def _question(self, message: discord.Message, recent: int) -> Message:
        said, files, standing = await asyncio.gather(
            self._in_time(context.before(message, self._settings.reply_chain, recent, self._spoken), (), message.id),
            self._files(message),
            self._people.standing(message.author, self._settings.read_timeout_s),
        )
        return question_of(message, self._us, self._settings, Enclosed(said, files, standing))

    async def _files(self, message: discord.Message) -> tuple[Attachment, ...]:
        settings = self._settings
        above = await self._in_time(context.replied_to(message), None, message.id)
        files = [*message.attachments, *(above.attachments if above else ())]
        return await attachments.fetch(
            files[: settings.attachments], settings.attachment_bytes, settings.read_timeout_s
        )

    async def _in_time(self, reading: Awaitable[Read], otherwise: Read, message_id: int) -> Read:
        try:
            async with asyncio.timeout(self._settings.read_timeout_s):
                return await reading
        except TimeoutError:
            log.warning("What message %d refers to could not be read in time.", message_id)
            return otherwise

    def _spoken(self, message: discord.Message) -> str:
        return spoken(message, self._us)

    @property
    def _us(self) -> discord.ClientUser:
        assert self._bot.user is not None, "nobody has asked us anything before we were logged in"
        return self._bot.user

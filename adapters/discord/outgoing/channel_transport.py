"""Reply transport for a channel, thread or direct message on Discord."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import discord

from adapters.delivery.rate_limit import RateLimit
from adapters.delivery.reply_transport import RequestKind
from adapters.discord.failures import (
    NO_PICTURE_REASON,
    NO_THREAD_REASON,
    error_sentence,
    is_transient,
    translate_errors,
)
from adapters.discord.limits import (
    HISTORY_PAGE,
    NO_HISTORY_TO_REPLY,
    NO_PERMISSION,
    THREAD_EXISTS,
    THREAD_NAME_CHARACTERS,
)
from adapters.discord.outgoing.layout import DiscordPart
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.outgoing.transport import DiscordTransport, TellAsker, ViewFactory, to_discord_files
from bot.core.messages import Message

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DiscordReplyTarget:
    """The destination of an answer. With `thread_name` it is a thread of its own, opened on the question."""

    channel_id: int
    question_id: int
    guild_id: int | None = None
    thread_name: str = ""

    def to_platform_data(self) -> dict[str, str]:
        """The target as data of a message, so that the answer goes to the same channel after a restart."""
        data = {"channel": str(self.channel_id), "question": str(self.question_id)}
        if self.guild_id is not None:
            data["guild"] = str(self.guild_id)
        if self.thread_name:
            data["thread_name"] = self.thread_name
        return data

    @classmethod
    def from_message(cls, message: Message) -> "DiscordReplyTarget":
        """The target of a message's answer."""
        data = message.platform_data
        guild = data.get("guild")
        return cls(
            int(data["channel"]), int(data["question"]), int(guild) if guild else None, data.get("thread_name", "")
        )


class ChannelTransport(DiscordTransport):
    """Posts in reply to the question."""

    def __init__(
        self,
        bot: discord.Client,
        target: DiscordReplyTarget,
        rates: DiscordRateLimits,
        views: ViewFactory | None = None,
        tell_asker: TellAsker | None = None,
    ) -> None:
        super().__init__(bot, rates, views, tell_asker)
        self._target = target
        self._channel_id = target.channel_id
        self._ready = not target.thread_name

    def limit_for(self, kind: RequestKind) -> RateLimit:
        """The rate limit of such requests in this channel."""
        return self._rate_limits.limit_for(kind, self._channel_id)

    async def prepare(self) -> None:
        """Open the answer's thread; when that is not allowed, the answer goes to the channel."""
        if self._ready:
            return
        with translate_errors():
            try:
                question = self._messageable().get_partial_message(self._target.question_id)
                await question.create_thread(name=self._target.thread_name[:THREAD_NAME_CHARACTERS])
            except discord.HTTPException as error:
                if is_transient(error):
                    raise
                if error.code != THREAD_EXISTS:
                    reason = NO_THREAD_REASON if error.code == NO_PERMISSION else error_sentence(error)
                    log.warning("Answering in channel %d without a thread: %s", self._channel_id, reason)
                    self._ready = True
                    return
        self._channel_id = self._target.question_id  # a thread has the id of the message it was opened on
        self._ready = True

    async def send(self, part: DiscordPart, request_id: str) -> str:
        """Post a message in reply to the question."""
        settings = self._message_options(part) | {"nonce": request_id, "suppress_embeds": True}
        if reference := self._reference():
            settings["reference"] = reference
        with translate_errors():
            return str((await self._send_message(part, settings)).id)

    async def _send_message(self, part: DiscordPart, settings: dict[str, Any]) -> discord.Message:
        """Send, and retry without the parts that the permissions deny: first the pictures, then the reference."""
        pictures: dict[str, Any] = {"files": to_discord_files(part.pictures)} if part.pictures else {}
        try:
            return await self._messageable().send(part.text, **(settings | pictures))
        except discord.HTTPException as error:
            if pictures and error.status == 403:
                log.warning("Left out a picture in channel %d: %s", self._channel_id, NO_PICTURE_REASON)
                return await self._send_message(replace(part, pictures=()), settings)
            if error.code != NO_HISTORY_TO_REPLY or settings.pop("reference", None) is None:
                raise
            return await self._send_message(part, settings)

    async def edit_message(self, platform_id: str, part: DiscordPart, request_id: str = "") -> None:
        """Change a message of ours."""
        message, settings = self._partial_message(platform_id), self._message_options(part)
        with translate_errors():
            try:
                pictures: dict[str, Any] = {"attachments": to_discord_files(part.pictures)} if part.pictures else {}
                await message.edit(content=part.text, **(settings | pictures))
            except discord.Forbidden:
                if not part.pictures:
                    raise
                log.warning("Left out a picture in channel %d: %s", self._channel_id, NO_PICTURE_REASON)
                await message.edit(content=part.text, **settings)

    async def delete_message(self, platform_id: str) -> None:
        """Delete a message of ours."""
        with translate_errors():
            try:
                await self._partial_message(platform_id).delete()
            except discord.NotFound:
                log.debug("Found no message to delete.")

    async def remove_buttons(self, platform_id: str) -> None:
        """Remove the buttons of a message of ours, and leave its text."""
        with translate_errors():
            await self._partial_message(platform_id).edit(view=None)

    async def send_typing(self) -> None:
        """Show for some seconds that an answer is being written."""
        with translate_errors():
            await self._messageable().typing()

    async def fetch_posted(self) -> Sequence[str]:
        """Our messages that reply to the question; in a thread opened for the answer, those that reply to none."""
        assert self._bot.user is not None  # no question comes before the login
        own_id, reference = self._bot.user.id, self._reference()
        expected = reference.message_id if reference else None
        found = []
        with translate_errors():
            try:
                after = discord.Object(self._target.question_id)
                async for message in self._messageable().history(limit=HISTORY_PAGE, after=after, oldest_first=True):
                    refers_to = message.reference.message_id if message.reference else None
                    if message.author.id == own_id and refers_to == expected:
                        found.append(str(message.id))
            except discord.Forbidden:
                log.debug("Could not read the history of channel %d without the permission.", self._channel_id)
        return found

    def _reference(self) -> discord.MessageReference | None:
        if self._channel_id == self._target.question_id:
            return None  # in a thread opened on the question
        return discord.MessageReference(
            message_id=self._target.question_id, channel_id=self._channel_id, fail_if_not_exists=False
        )

    def _messageable(self) -> discord.PartialMessageable:
        return self._bot.get_partial_messageable(self._channel_id, guild_id=self._target.guild_id)

    def _partial_message(self, platform_id: str) -> discord.PartialMessage:
        return self._messageable().get_partial_message(int(platform_id))

"""A channel, thread or direct message on Discord as the place of one answer."""

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import discord

from adapters.delivery.rate_limit import Pace
from adapters.discord.failures import NO_PICTURE, NO_THREAD, answering, passes, sentence
from adapters.discord.limits import (
    HISTORY_PAGE,
    NO_HISTORY_TO_REPLY,
    NO_PERMISSION,
    THREAD_EXISTS,
    THREAD_NAME_CHARACTERS,
)
from adapters.discord.outgoing.rate_limits import Rates
from adapters.discord.reply_transport import Buttons, Part, Posted, Request
from bot.core.messages import Attachment, Message

log = logging.getLogger(__name__)

Views = Callable[[Buttons], discord.ui.View | None]
"""Makes what is under a message of an answer; None for nothing."""

NOBODY = discord.AllowedMentions.none()
"""What a model writes never pings anybody."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an answer goes. With `thread_name` it goes into a thread of its own, opened on the question."""

    channel_id: int
    question_id: int
    guild_id: int | None = None
    thread_name: str = ""

    def platform_data(self) -> dict[str, str]:
        """What a message keeps, so that its answer finds here again after a restart."""
        data = {"channel": str(self.channel_id), "question": str(self.question_id)}
        if self.guild_id is not None:
            data["guild"] = str(self.guild_id)
        if self.thread_name:
            data["thread_name"] = self.thread_name
        return data

    @classmethod
    def of(cls, message: Message) -> "Target":
        """The place of a message's answer."""
        data = message.platform_data
        guild = data.get("guild")
        return cls(
            int(data["channel"]), int(data["question"]), int(guild) if guild else None, data.get("thread_name", "")
        )


class DiscordPlace:
    """Fills `Channel`."""

    def __init__(self, bot: discord.Client, target: Target, rates: Rates, views: Views | None = None) -> None:
        self._bot = bot
        self._target = target
        self._rates = rates
        self._views = views
        self._channel_id = target.channel_id
        self._ready = not target.thread_name

    def pace(self, kind: Request) -> Pace:
        """What Discord has said of such requests in this channel."""
        return self._rates.of(kind, self._channel_id)

    async def prepare(self) -> None:
        """Open the answer's thread; where that is not allowed the answer goes to the channel."""
        if self._ready:
            return
        with answering():
            try:
                question = self._messageable().get_partial_message(self._target.question_id)
                await question.create_thread(name=self._target.thread_name[:THREAD_NAME_CHARACTERS])
            except discord.HTTPException as error:
                if passes(error):
                    raise
                if error.code != THREAD_EXISTS:
                    why = NO_THREAD if error.code == NO_PERMISSION else sentence(error)
                    log.warning("Answering in channel %d without a thread: %s", self._channel_id, why)
                    self._ready = True
                    return
        self._channel_id = self._target.question_id  # a thread has the id of the message it was opened on
        self._ready = True

    async def send(self, part: Part, nonce: str) -> Posted:
        """Post a message in reply to the question."""
        settings = self._shown(part) | {"nonce": nonce, "suppress_embeds": True}
        if reference := self._reference():
            settings["reference"] = reference
        with answering():
            sent = await self._sent(part, settings)
        return Posted(str(sent.id), sent.content)

    async def _sent(self, part: Part, settings: dict[str, Any]) -> discord.Message:
        """Done without what a channel's rights deny: first the pictures, then the reference to the question."""
        pictures: dict[str, Any] = {"files": files(part.pictures)} if part.pictures else {}
        try:
            return await self._messageable().send(part.text, **(settings | pictures))
        except discord.HTTPException as error:
            if pictures and error.status == 403:
                log.warning("A picture is left out in channel %d: %s", self._channel_id, NO_PICTURE)
                return await self._sent(replace(part, pictures=()), settings)
            if error.code != NO_HISTORY_TO_REPLY or settings.pop("reference", None) is None:
                raise
            return await self._sent(part, settings)

    async def edit(self, platform_id: str, part: Part) -> None:
        """Change a message of ours."""
        message, settings = self._partial(platform_id), self._shown(part)
        with answering():
            try:
                pictures: dict[str, Any] = {"attachments": files(part.pictures)} if part.pictures else {}
                await message.edit(content=part.text, **(settings | pictures))
            except discord.Forbidden:
                if not part.pictures:
                    raise
                log.warning("A picture is left out in channel %d: %s", self._channel_id, NO_PICTURE)
                await message.edit(content=part.text, **settings)

    async def delete(self, platform_id: str) -> None:
        """Delete a message of ours."""
        with answering():
            try:
                await self._partial(platform_id).delete()
            except discord.NotFound:
                log.debug("A message to delete is gone already.")

    async def typing(self) -> None:
        """Show for some seconds that an answer is being written."""
        with answering():
            await self._messageable().typing()

    async def answers(self) -> Sequence[Posted]:
        """Our messages that refer to the question; in a thread of the answer's own those that refer to none."""
        assert self._bot.user is not None  # nobody has asked us anything before we were logged in
        us, reference = self._bot.user.id, self._reference()
        expected = reference.message_id if reference else None
        found = []
        with answering():
            try:
                after = discord.Object(self._target.question_id)
                async for message in self._messageable().history(limit=HISTORY_PAGE, after=after, oldest_first=True):
                    refers_to = message.reference.message_id if message.reference else None
                    if message.author.id == us and refers_to == expected:
                        found.append(Posted(str(message.id), message.content))
            except discord.Forbidden:
                log.debug("The history of channel %d may not be read.", self._channel_id)
        return found

    def _shown(self, part: Part) -> dict[str, Any]:
        settings: dict[str, Any] = {"allowed_mentions": NOBODY}
        view = self._views(part.buttons) if self._views else None
        if view is not None:
            settings["view"] = view
        return settings

    def _reference(self) -> discord.MessageReference | None:
        if self._channel_id == self._target.question_id:
            return None  # in a thread opened on the question
        return discord.MessageReference(
            message_id=self._target.question_id, channel_id=self._channel_id, fail_if_not_exists=False
        )

    def _messageable(self) -> discord.PartialMessageable:
        return self._bot.get_partial_messageable(self._channel_id, guild_id=self._target.guild_id)

    def _partial(self, platform_id: str) -> discord.PartialMessage:
        return self._messageable().get_partial_message(int(platform_id))


def files(pictures: Sequence[Attachment]) -> list[discord.File]:
    """Pictures as files to send."""
    return [discord.File(io.BytesIO(picture.data), picture.name) for picture in pictures]

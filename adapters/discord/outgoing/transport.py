"""Base of Discord's reply transports: typing, buttons, files, and messages that never ping."""

import io
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import discord

from adapters.delivery.errors import TransientFailure
from adapters.delivery.rate_limit import RateLimit
from adapters.delivery.reply_transport import ReplyTransport, RequestKind
from adapters.discord.failures import RequestRefused
from adapters.discord.limits import AUTOMOD_BLOCKED, NO_PERMISSION, THREAD_ARCHIVED, THREAD_LOCKED, UNKNOWN_MESSAGE
from adapters.discord.outgoing.layout import ButtonSet, DiscordPart
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.outgoing.typing_indicator import DiscordTypingIndicator
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment

log = logging.getLogger(__name__)

ViewFactory = Callable[[ButtonSet], discord.ui.View | None]
"""Makes the buttons under a message of an answer; None for none."""

TellAsker = Callable[[str], Awaitable[None]]
"""Sends the person who asked a sentence of their own, by its key and with the place of the answer."""

REFUSAL_TEXTS: dict[int, str] = {
    AUTOMOD_BLOCKED: "answer_blocked",
    NO_PERMISSION: "cannot_write",
    THREAD_ARCHIVED: "thread_locked",
    THREAD_LOCKED: "thread_locked",
    UNKNOWN_MESSAGE: "answer_deleted",
}
"""Keys of the sentences about refused answers, by Discord's error code."""

NO_MENTIONS = discord.AllowedMentions.none()
"""Text of a model never pings anyone."""


class DiscordTransport(ReplyTransport[DiscordPart], ABC):
    """Fills `ReplyTransport` but for its requests."""

    def __init__(
        self,
        bot: discord.Client,
        rates: DiscordRateLimits,
        views: ViewFactory | None = None,
        tell_asker: TellAsker | None = None,
    ) -> None:
        self._bot = bot
        self._tell_asker = tell_asker
        self._rate_limits = rates
        self._make_view = views
        self._typing = DiscordTypingIndicator(self.send_typing)

    @abstractmethod
    def limit_for(self, kind: RequestKind) -> RateLimit:
        """The rate limit of such requests here, shared with all other answers in the channel."""

    @abstractmethod
    async def send_typing(self) -> None:
        """Show for some seconds that an answer is being written."""

    @abstractmethod
    async def remove_buttons(self, platform_id: str) -> None:
        """Remove the buttons of a message of ours, and leave its text."""

    async def report_refusal(self, platform_ids: Sequence[str], error: ReplyFailed) -> None:
        """Remove the buttons under the last message, and tell the asker directly why the answer ends there."""
        code = error.code if isinstance(error, RequestRefused) else 0
        if platform_ids and code != UNKNOWN_MESSAGE:
            try:
                await self.remove_buttons(platform_ids[-1])
            except (ReplyFailed, TransientFailure) as failure:
                log.info("Could not remove the buttons of a refused answer: %s", failure)
        if self._tell_asker is not None and (text_key := REFUSAL_TEXTS.get(code)):
            await self._tell_asker(text_key)

    def start_typing(self) -> None:
        """Show typing until `stop_typing`."""
        self._typing.start()

    def stop_typing(self) -> None:
        """Let typing fade."""
        self._typing.stop()

    def _message_options(self, part: DiscordPart) -> dict[str, Any]:
        settings: dict[str, Any] = {"allowed_mentions": NO_MENTIONS}
        view = self._make_view(part.buttons) if self._make_view else None
        if view is not None:
            settings["view"] = view
        return settings


def to_discord_files(pictures: Sequence[Attachment]) -> list[discord.File]:
    """Pictures as files to send."""
    return [discord.File(io.BytesIO(picture.data), picture.name) for picture in pictures]

"""Base of Discord's reply transports: typing, buttons, files, and messages that never ping."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import discord

from adapters.delivery.rate_limit import RateLimit
from adapters.delivery.reply_transport import ReplyTransport, RequestKind
from adapters.discord.outgoing.layout import ButtonSet, DiscordPart
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.outgoing.typing_indicator import DiscordTypingIndicator
from bot.core.messages import Attachment

ViewFactory = Callable[[ButtonSet], discord.ui.View | None]
"""Makes the buttons under a message of an answer; None for none."""

NO_MENTIONS = discord.AllowedMentions.none()
"""Text of a model never pings anyone."""


class DiscordTransport(ReplyTransport[DiscordPart], ABC):
    """Fills `ReplyTransport` but for its requests."""

    def __init__(self, bot: discord.Client, rates: DiscordRateLimits, views: ViewFactory | None = None) -> None:
        self._bot = bot
        self._rate_limits = rates
        self._make_view = views
        self._typing = DiscordTypingIndicator(self.send_typing)

    @abstractmethod
    def limit_for(self, kind: RequestKind) -> RateLimit:
        """The rate limit of such requests here, shared with all other answers in the channel."""

    @abstractmethod
    async def send_typing(self) -> None:
        """Show for some seconds that an answer is being written."""

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

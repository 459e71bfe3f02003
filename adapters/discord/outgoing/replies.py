"""Replies to messages on Discord: built from the message alone, ended when Hearth stops."""

import asyncio
from collections.abc import Callable, Sequence

import discord

from adapters.delivery.reply_factory import ReplyFactory
from adapters.discord.ids import PLATFORM
from adapters.discord.outgoing.channel_transport import ChannelTransport, DiscordReplyTarget
from adapters.discord.outgoing.direct_notices import DirectNotices
from adapters.discord.outgoing.layout import DiscordPart
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.outgoing.reply_policy import DiscordReplyPolicy
from adapters.discord.outgoing.transport import DiscordTransport, TellAsker, ViewFactory
from adapters.discord.outgoing.views import language_of_message
from adapters.discord.texts import localize
from bot.core.messages import Message
from bot.core.ports import Inbox
from bot.core.texts import Language

TransportFinder = Callable[[Message], DiscordTransport]
"""Finds the transport for the answer to a message."""


class DiscordReplyFactory(ReplyFactory[DiscordPart]):
    """Fills `Adapter` for messages that an earlier process left open: replies are built from messages alone."""

    def __init__(
        self,
        bot: discord.Client,
        rates: DiscordRateLimits,
        view_factory: Callable[[Message], ViewFactory] | None = None,
        find_transport: TransportFinder | None = None,
    ) -> None:
        """`view_factory` makes the buttons under answers, `find_transport` finds transports besides channels.

        `direct_notices` tells people what cannot be said in a channel.
        """
        super().__init__(rates.global_limit)
        self._bot = bot
        self._rate_limits = rates
        self._view_factory = view_factory
        self._find_transport = find_transport or self.channel_transport
        self.direct_notices = DirectNotices(bot)

    def watch_rate_limits(self) -> None:
        """Learn from Discord's responses to the bot; a bot of our own is built with the trace already."""
        self._rate_limits.watch_client(self._bot)

    @property
    def platform(self) -> str:
        """`discord`."""
        return PLATFORM

    async def run(self, inbox: Inbox) -> None:
        """Wait until cancelled: the cog's listeners handle the events."""
        await asyncio.Event().wait()

    async def health(self, language: Language) -> Sequence[str]:
        """No lines: an answer on Discord shows that it works."""
        return ()

    def channel_transport(self, message: Message) -> DiscordTransport:
        """The channel, thread or direct message of the question."""
        views = self._view_factory(message) if self._view_factory else None
        target = DiscordReplyTarget.from_message(message)
        return ChannelTransport(self._bot, target, self._rate_limits, views, self.teller(message))

    def teller(self, message: Message) -> TellAsker:
        """Sends the author of a message a sentence about the channel of the answer."""
        user_id, language = int(message.author.id.removeprefix(f"{PLATFORM}:")), language_of_message(message)
        place = f"<#{message.platform_data['channel']}>"

        async def tell(text_key: str) -> None:
            await self.direct_notices.send(user_id, localize(text_key, language, place=place))

        return tell

    async def close(self) -> None:
        """Stop updates of all replies."""
        self._rate_limits.unwatch_client()
        await super().close()

    def _connect(self, message: Message) -> tuple[DiscordTransport, DiscordReplyPolicy]:
        transport = self._find_transport(message)
        return transport, DiscordReplyPolicy(transport.limit_for)

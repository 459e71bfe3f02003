"""Builds the replies to messages, and ends those that are open when Hearth stops."""

import asyncio
from collections.abc import Callable, Sequence

import discord

from adapters.discord.ids import PLATFORM
from adapters.discord.outgoing.channel_transport import ChannelTransport, DiscordReplyTarget, ViewFactory
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.outgoing.reply import DiscordReply
from adapters.discord.reply_transport import ReplyTransport
from bot.core.messages import Message
from bot.core.ports import Inbox
from bot.core.texts import Language

TransportFinder = Callable[[Message], ReplyTransport]
"""Where the answer to a message goes."""


class DiscordReplyFactory:
    """Fills `Adapter` for what an earlier process left: replies are built from messages alone."""

    def __init__(
        self,
        bot: discord.Client,
        rates: DiscordRateLimits,
        views_of: Callable[[Message], ViewFactory] | None = None,
        place_of: TransportFinder | None = None,
    ) -> None:
        """`views_of` makes what is under answers, `place_of` finds places that are no channels."""
        self._bot = bot
        self._rate_limits = rates
        self._view_factory = views_of
        self._find_transport = place_of or self.channel_transport
        self._open: set[DiscordReply] = set()

    def watch_rate_limits(self) -> None:
        """Learn from what Discord answers to the bot; one of our own was built so that it tells anyway."""
        self._rate_limits.watch_client(self._bot)

    @property
    def platform(self) -> str:
        """`discord`."""
        return PLATFORM

    async def run(self, inbox: Inbox) -> None:
        """Nothing of its own: the cog's listeners translate."""
        await asyncio.Event().wait()

    def reply_to(self, message: Message) -> DiscordReply:
        """A reply in the place that the message names."""
        return DiscordReply(message.event_id, self._find_transport(message), self._rate_limits.global_limit, self._open)

    async def health(self, language: Language) -> Sequence[str]:
        """Nothing: who can ask on Discord sees that it works."""
        return ()

    def channel_transport(self, message: Message) -> ReplyTransport:
        """The channel, thread or direct message of the question."""
        views = self._view_factory(message) if self._view_factory else None
        return ChannelTransport(self._bot, DiscordReplyTarget.from_message(message), self._rate_limits, views)

    async def close(self) -> None:
        """Show no more."""
        self._rate_limits.unwatch_client()
        await asyncio.gather(*(reply.abandon() for reply in list(self._open)))

"""Builds the replies to messages, and ends those that are open when Hearth stops."""

import asyncio
from collections.abc import Callable, Sequence

import discord

from adapters.discord.ids import PLATFORM
from adapters.discord.outgoing.channel_transport import DiscordPlace, Target, Views
from adapters.discord.outgoing.rate_limits import Rates
from adapters.discord.outgoing.reply import DiscordReply
from adapters.discord.reply_transport import Channel
from bot.core.messages import Message
from bot.core.ports import Inbox
from bot.core.texts import Language

Place = Callable[[Message], Channel]
"""Where the answer to a message goes."""


class Answers:
    """Fills `Adapter` for what an earlier process left: replies are built from messages alone."""

    def __init__(
        self,
        bot: discord.Client,
        rates: Rates,
        views_of: Callable[[Message], Views] | None = None,
        place_of: Place | None = None,
    ) -> None:
        """`views_of` makes what is under answers, `place_of` finds places that are no channels."""
        self._bot = bot
        self._rates = rates
        self._views_of = views_of
        self._place_of = place_of or self.channel_of
        self._open: set[DiscordReply] = set()

    def watch(self) -> None:
        """Learn from what Discord answers to the bot; one of our own was built so that it tells anyway."""
        self._rates.watch(self._bot)

    @property
    def platform(self) -> str:
        """`discord`."""
        return PLATFORM

    async def run(self, inbox: Inbox) -> None:
        """Nothing of its own: the cog's listeners translate."""
        await asyncio.Event().wait()

    def reply_to(self, message: Message) -> DiscordReply:
        """A reply in the place that the message names."""
        return DiscordReply(message.event_id, self._place_of(message), self._rates.overall, self._open)

    async def health(self, language: Language) -> Sequence[str]:
        """Nothing: who can ask on Discord sees that it works."""
        return ()

    def channel_of(self, message: Message) -> Channel:
        """The channel, thread or direct message of the question."""
        views = self._views_of(message) if self._views_of else None
        return DiscordPlace(self._bot, Target.of(message), self._rates, views)

    async def close(self) -> None:
        """Show no more."""
        self._rates.unwatch()
        await asyncio.gather(*(reply.abandon() for reply in list(self._open)))

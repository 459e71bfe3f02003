"""The smallest bot that Hearth's cog lives in, and the adapter that runs it."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import discord
from discord.ext import commands

from adapters.discord.connection.account import token_of
from adapters.discord.connection.session import AnyBot, log_in, stay_connected
from adapters.discord.failures import unusable
from adapters.discord.ids import PLATFORM
from adapters.discord.incoming.cog import HearthCog
from adapters.discord.outgoing.rate_limits import Rates
from adapters.discord.outgoing.replies import Answers
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Message
from bot.core.ports import Inbox, Reply
from bot.core.texts import Language

log = logging.getLogger(__name__)

Furnish = Callable[[AnyBot, Inbox, Rates], "tuple[Answers, list[commands.Cog]]"]
"""Makes what goes into a bot: how answers are built, and further cogs."""


def intents(settings: DiscordSettings) -> discord.Intents:
    """The events that Hearth needs and no more."""
    return discord.Intents(guilds=True, guild_messages=True, dm_messages=True, message_content=settings.message_content)


class QuietMixin:
    """What both kinds of bot share: messages are the cog's business, there are no commands by prefix."""

    async def on_message(self, message: discord.Message) -> None:
        """Leave the message to the cog."""


class SmallBot(QuietMixin, commands.Bot):
    """A bot with one connection."""


class ShardedBot(QuietMixin, commands.AutoShardedBot):
    """A bot with as many connections as Discord recommends."""


def build_bot(settings: DiscordSettings, rates: Rates, sharded: bool = False) -> AnyBot:
    """A bot without caches of members and messages, whose messages never ping."""
    kind = ShardedBot if sharded else SmallBot
    return kind(
        command_prefix=commands.when_mentioned,
        help_command=None,
        intents=intents(settings),
        member_cache_flags=discord.MemberCacheFlags.none(),
        chunk_guilds_at_startup=False,
        max_messages=None,
        allowed_mentions=discord.AllowedMentions.none(),
        http_trace=rates.trace,
    )


def furnish(bot: AnyBot, inbox: Inbox, rates: Rates) -> tuple[Answers, list[commands.Cog]]:
    """Answers in channels, and nothing besides."""
    return Answers(bot, rates), []


class DiscordAdapter:
    """Fills `Adapter`. `close` it after the core, so that answers in the making still reach Discord."""

    def __init__(self, settings: DiscordSettings, folder: Path, furnish: Furnish = furnish) -> None:
        self._settings = settings
        self._folder = folder
        self._furnish = furnish
        self._rates = Rates()
        self._bot: AnyBot | None = None
        self._answers: Answers | None = None

    @property
    def platform(self) -> str:
        """`discord`."""
        return PLATFORM

    def reply_to(self, message: Message) -> Reply:
        """A reply in the place that the message names; only while the adapter runs."""
        assert self._answers is not None
        return self._answers.reply_to(message)

    async def health(self, language: Language) -> Sequence[str]:
        """Nothing: who can ask on Discord sees that it works."""
        return ()

    async def run(self, inbox: Inbox) -> None:
        """Listen until cancelled. Raises DiscordUnusable when Discord will not have the bot."""
        token = token_of(self._settings)
        try:
            await self._serve(await self._logged_in(token), inbox)
        except (discord.LoginFailure, discord.PrivilegedIntentsRequired, discord.ConnectionClosed) as error:
            raise unusable(error, self._settings.token_env) from None  # the library's error may quote what it was given

    async def close(self) -> None:
        """Leave Discord."""
        if self._bot is not None:
            await self._bot.close()

    async def _logged_in(self, token: str) -> AnyBot:
        bot = self._bot = build_bot(self._settings, self._rates)
        if await log_in(bot, token) > 1:
            await bot.close()
            bot = self._bot = build_bot(self._settings, self._rates, sharded=True)
            await log_in(bot, token)
        return bot

    async def _serve(self, bot: AnyBot, inbox: Inbox) -> None:
        self._answers, cogs = self._furnish(bot, inbox, self._rates)
        for cog in (HearthCog(bot, self._settings, inbox, self._answers, self._folder), *cogs):
            await bot.add_cog(cog)
        await stay_connected(bot, self._settings.silence_s)

"""The Discord adapter, and the minimal bot that it runs."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import discord
from discord.ext import commands

from adapters.discord.connection.account import read_token
from adapters.discord.connection.session import AnyBot, log_in, stay_connected
from adapters.discord.failures import to_admin_error
from adapters.discord.ids import PLATFORM
from adapters.discord.incoming.cog import HearthCog
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.outgoing.replies import DiscordReplyFactory
from adapters.discord.settings import DiscordSettings
from bot.core.messages import Message
from bot.core.ports import Inbox, Reply
from bot.core.texts import Language

log = logging.getLogger(__name__)

CogBuilder = Callable[[AnyBot, Inbox, DiscordRateLimits], "tuple[DiscordReplyFactory, list[commands.Cog]]"]
"""Builds the reply factory of a bot, and its cogs besides the one for messages."""


def gateway_intents(settings: DiscordSettings) -> discord.Intents:
    """The events that Hearth needs and no more."""
    return discord.Intents(guilds=True, guild_messages=True, dm_messages=True, message_content=settings.message_content)


class NoPrefixCommands:
    """Base of both kinds of bot: the cog handles messages, and there are no commands by prefix."""

    async def on_message(self, message: discord.Message) -> None:
        """Leave the message to the cog."""


class SingleShardBot(NoPrefixCommands, commands.Bot):
    """A bot with one connection."""


class ShardedBot(NoPrefixCommands, commands.AutoShardedBot):
    """A bot with as many connections as Discord recommends."""


def build_bot(settings: DiscordSettings, rates: DiscordRateLimits, sharded: bool = False) -> AnyBot:
    """A bot without caches of members and messages, whose messages never ping."""
    kind = ShardedBot if sharded else SingleShardBot
    return kind(
        command_prefix=commands.when_mentioned,
        help_command=None,
        intents=gateway_intents(settings),
        member_cache_flags=discord.MemberCacheFlags.none(),
        chunk_guilds_at_startup=False,
        max_messages=None,
        allowed_mentions=discord.AllowedMentions.none(),
        http_trace=rates.trace_config,
    )


def build_replies_only(
    bot: AnyBot, inbox: Inbox, rates: DiscordRateLimits
) -> tuple[DiscordReplyFactory, list[commands.Cog]]:
    """Replies in channels, and no further cogs."""
    return DiscordReplyFactory(bot, rates), []


class DiscordAdapter:
    """Fills `Adapter`. `close` it after the core, so that answers in the making still reach Discord."""

    def __init__(self, settings: DiscordSettings, folder: Path, build_cogs: CogBuilder = build_replies_only) -> None:
        self._settings = settings
        self._folder = folder
        self._build_cogs = build_cogs
        self._rate_limits = DiscordRateLimits()
        self._bot: AnyBot | None = None
        self._replies: DiscordReplyFactory | None = None

    @property
    def platform(self) -> str:
        """`discord`."""
        return PLATFORM

    def reply_to(self, message: Message) -> Reply:
        """A reply in the channel of the message; only while the adapter runs."""
        assert self._replies is not None
        return self._replies.reply_to(message)

    async def health(self, language: Language) -> Sequence[str]:
        """No lines: a person who asks on Discord sees that it works."""
        return ()

    async def run(self, inbox: Inbox) -> None:
        """Answer until cancelled. Raises DiscordUnusable when Discord does not accept the bot."""
        token = read_token(self._settings)
        try:
            await self._serve(await self._log_in(token), inbox)
        except (discord.LoginFailure, discord.PrivilegedIntentsRequired, discord.ConnectionClosed) as error:
            raise to_admin_error(
                error, self._settings.token_env
            ) from None  # the library's error may quote what it was given

    async def close(self) -> None:
        """Leave Discord."""
        if self._bot is not None:
            await self._bot.close()

    async def _log_in(self, token: str) -> AnyBot:
        bot = self._bot = build_bot(self._settings, self._rate_limits)
        if await log_in(bot, token) > 1:
            await bot.close()
            bot = self._bot = build_bot(self._settings, self._rate_limits, sharded=True)
            await log_in(bot, token)
        return bot

    async def _serve(self, bot: AnyBot, inbox: Inbox) -> None:
        self._replies, cogs = self._build_cogs(bot, inbox, self._rate_limits)
        for cog in (HearthCog(bot, self._settings, inbox, self._replies, self._folder), *cogs):
            await bot.add_cog(cog)
        await stay_connected(bot, self._settings.gateway_silence_timeout_s)

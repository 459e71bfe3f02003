"""Finds the messages that came while nobody listened: a bounded number in each channel, a bounded time back."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import discord
from discord.utils import time_snowflake, utcnow

from adapters.discord.failures import LOST
from adapters.discord.settings import DiscordSettings

log = logging.getLogger(__name__)

SOUGHT_FOR_S = 60.0
"""The longest that all of it may take; new messages wait for it."""

AT_ONCE = 4
Readable = discord.TextChannel | discord.Thread | discord.VoiceChannel | discord.StageChannel


@dataclass(frozen=True, slots=True)
class Gap:
    """What had been seen when the gap began: the newest message of each channel, and anywhere."""

    seen: Mapping[int, int]
    newest: int
    direct: frozenset[int]


async def missed(bot: discord.Client, gap: Gap, settings: DiscordSettings) -> list[discord.Message]:
    """The messages of a gap, oldest first. None on the very first start: what was said before is not for us."""
    if not gap.newest or not settings.catch_up_messages or not settings.catch_up_s:
        return []
    oldest = time_snowflake(utcnow() - timedelta(seconds=settings.catch_up_s))
    gate = asyncio.Semaphore(AT_ONCE)
    found: list[discord.Message] = []

    async def look(channel: Readable | discord.PartialMessageable) -> None:
        after = discord.Object(max(oldest, gap.seen.get(channel.id, gap.newest)))
        async with gate:
            found.extend(await _after(channel, after, settings.catch_up_messages))

    try:
        async with asyncio.timeout(SOUGHT_FOR_S), asyncio.TaskGroup() as group:
            for channel in _places(bot, gap):
                group.create_task(look(channel))
    except TimeoutError:
        log.warning("Looking for missed messages took too long; some channels were not looked at.")
    return sorted(found, key=lambda message: message.id)


def _places(bot: discord.Client, gap: Gap) -> list[Readable | discord.PartialMessageable]:
    """Where something may have been missed: channels tell their newest message, direct ones do not."""
    direct = [bot.get_partial_messageable(channel, type=discord.ChannelType.private) for channel in gap.direct]
    everything: list[Readable] = []
    for guild in bot.guilds:
        everything += [*guild.text_channels, *guild.voice_channels, *guild.stage_channels, *guild.threads]
    rooms = [channel for channel in everything if (channel.last_message_id or 0) > gap.seen.get(channel.id, gap.newest)]
    return [*rooms, *direct]


async def _after(
    channel: Readable | discord.PartialMessageable, after: discord.Object, limit: int
) -> list[discord.Message]:
    try:
        # The newest ones when there are more: what is long past is answered least gladly.
        return [message async for message in channel.history(limit=limit, after=after, oldest_first=False)]
    except discord.Forbidden:
        return []  # a channel that the bot may see and not read
    except (discord.HTTPException, *LOST) as error:
        log.warning("Missed messages of channel %d cannot be read: %s", channel.id, type(error).__name__)
        return []

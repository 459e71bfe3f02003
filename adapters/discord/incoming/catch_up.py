"""Finds the messages that came while nobody listened: a bounded number in each channel, a bounded time back."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import discord
from discord.utils import time_snowflake, utcnow

from adapters.discord.failures import CONNECTION_ERRORS
from adapters.discord.settings import DiscordSettings

log = logging.getLogger(__name__)

CATCH_UP_TIMEOUT_S = 60.0
"""The longest that all of it may take; new messages wait for it."""

MAX_CONCURRENT = 4
ReadableChannel = discord.TextChannel | discord.Thread | discord.VoiceChannel | discord.StageChannel


@dataclass(frozen=True, slots=True)
class Gap:
    """What had been seen when the gap began: the newest message of each channel, and anywhere."""

    last_read_ids: Mapping[int, int]
    newest_id: int
    direct_channels: frozenset[int]


async def fetch_missed(bot: discord.Client, gap: Gap, settings: DiscordSettings) -> list[discord.Message]:
    """The messages of a gap, oldest first. None on the very first start: what was said before is not for us."""
    if not gap.newest_id or not settings.catch_up_messages or not settings.catch_up_max_age_s:
        return []
    oldest = time_snowflake(utcnow() - timedelta(seconds=settings.catch_up_max_age_s))
    gate = asyncio.Semaphore(MAX_CONCURRENT)
    found: list[discord.Message] = []

    async def look(channel: ReadableChannel | discord.PartialMessageable) -> None:
        after = discord.Object(max(oldest, gap.last_read_ids.get(channel.id, gap.newest_id)))
        async with gate:
            found.extend(await _fetch_after(channel, after, settings.catch_up_messages))

    try:
        async with asyncio.timeout(CATCH_UP_TIMEOUT_S), asyncio.TaskGroup() as group:
            for channel in _channels_to_read(bot, gap):
                group.create_task(look(channel))
    except TimeoutError:
        log.warning("Looking for missed messages took too long; some channels were not looked at.")
    return sorted(found, key=lambda message: message.id)


def _channels_to_read(bot: discord.Client, gap: Gap) -> list[ReadableChannel | discord.PartialMessageable]:
    """Where something may have been missed: channels tell their newest message, direct ones do not."""
    direct = [bot.get_partial_messageable(channel, type=discord.ChannelType.private) for channel in gap.direct_channels]
    everything: list[ReadableChannel] = []
    for guild in bot.guilds:
        everything += [*guild.text_channels, *guild.voice_channels, *guild.stage_channels, *guild.threads]
    rooms = [
        channel
        for channel in everything
        if (channel.last_message_id or 0) > gap.last_read_ids.get(channel.id, gap.newest_id)
    ]
    return [*rooms, *direct]


async def _fetch_after(
    channel: ReadableChannel | discord.PartialMessageable, after: discord.Object, limit: int
) -> list[discord.Message]:
    try:
        # The newest ones when there are more: what is long past is answered least gladly.
        return [message async for message in channel.history(limit=limit, after=after, oldest_first=False)]
    except discord.Forbidden:
        return []  # a channel that the bot may see and not read
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.warning("Missed messages of channel %d cannot be read: %s", channel.id, type(error).__name__)
        return []

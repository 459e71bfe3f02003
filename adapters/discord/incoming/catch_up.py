"""Fetches missed messages: a bounded number from each channel, up to a bounded age."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import discord
from discord.utils import time_snowflake, utcnow

from adapters.discord.failures import CONNECTION_ERRORS, failure_reason
from adapters.discord.settings import DiscordSettings

log = logging.getLogger(__name__)

CATCH_UP_TIMEOUT_S = 60.0
"""Time limit for the whole search; new messages wait for it."""

MAX_CONCURRENT = 4
ReadableChannel = discord.TextChannel | discord.Thread | discord.VoiceChannel | discord.StageChannel


@dataclass(frozen=True, slots=True)
class Gap:
    """The read markers when the gap began: the newest message of each channel, and of all channels."""

    last_read_ids: Mapping[int, int]
    newest_id: int
    direct_channels: frozenset[int]


async def fetch_missed(
    bot: discord.Client, gap: Gap, settings: DiscordSettings, covers: Callable[[discord.Guild | None], bool]
) -> list[discord.Message]:
    """The messages of a gap, oldest first, from the servers that it `covers` and, for None, direct messages. Empty on
    the very first start: they were written before Hearth joined.
    """
    if not gap.newest_id or not settings.catch_up_messages or not settings.catch_up_max_age_s:
        return []
    oldest = time_snowflake(utcnow() - timedelta(seconds=settings.catch_up_max_age_s))
    limit = asyncio.Semaphore(MAX_CONCURRENT)
    found: list[discord.Message] = []

    async def fetch(channel: ReadableChannel | discord.PartialMessageable) -> None:
        after = discord.Object(max(oldest, gap.last_read_ids.get(channel.id, gap.newest_id)))
        async with limit:
            found.extend(await _fetch_after(channel, after, settings.catch_up_messages))

    try:
        async with asyncio.timeout(CATCH_UP_TIMEOUT_S), asyncio.TaskGroup() as group:
            for channel in _channels_to_read(bot, gap, covers):
                group.create_task(fetch(channel))
    except TimeoutError:
        log.warning(
            "Stopped searching for missed messages after %.0f s; some channels were skipped.", CATCH_UP_TIMEOUT_S
        )
    return sorted(found, key=lambda message: message.id)


def _channels_to_read(
    bot: discord.Client, gap: Gap, covers: Callable[[discord.Guild | None], bool]
) -> list[ReadableChannel | discord.PartialMessageable]:
    """Channels with messages that may have been missed; direct channels do not state their newest message."""
    direct_ids = gap.direct_channels if covers(None) else ()
    direct = [bot.get_partial_messageable(channel, type=discord.ChannelType.private) for channel in direct_ids]
    candidates: list[ReadableChannel] = []
    for guild in filter(covers, bot.guilds):
        candidates += [*guild.text_channels, *guild.voice_channels, *guild.stage_channels, *guild.threads]
    unread = [
        channel
        for channel in candidates
        if (channel.last_message_id or 0) > gap.last_read_ids.get(channel.id, gap.newest_id)
    ]
    return [*unread, *direct]


async def _fetch_after(
    channel: ReadableChannel | discord.PartialMessageable, after: discord.Object, limit: int
) -> list[discord.Message]:
    try:
        # The newest when there are more: old questions matter least.
        return [message async for message in channel.history(limit=limit, after=after, oldest_first=False)]
    except discord.Forbidden:
        return []  # a channel that the bot may see and not read
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.warning("Could not read missed messages of channel %d: %s", channel.id, failure_reason(error))
        return []

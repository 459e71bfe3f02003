"""Gaps between sessions: who waits for whom, and for how long at most."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest
from discord.ext import commands

from adapters.discord.incoming import session_gaps
from adapters.discord.incoming.catch_up import Gap
from adapters.discord.incoming.session_gaps import SessionGaps

INTENTS = discord.Intents(guilds=True)


def guild(shard: int) -> discord.Guild:
    return cast(discord.Guild, SimpleNamespace(shard_id=shard))


def numbered() -> Any:
    """Notes a gap with a number of its own."""
    numbers = iter(range(1, 100))
    return lambda: Gap({}, next(numbers), frozenset())


@pytest.fixture
def sharded() -> SessionGaps:
    return SessionGaps(commands.AutoShardedBot("!", intents=INTENTS, shard_count=2), numbered())


@pytest.fixture
def single() -> SessionGaps:
    return SessionGaps(commands.Bot("!", intents=INTENTS), numbered())


async def waits(gaps: SessionGaps, where: discord.Guild | None) -> bool:
    """Whether a new message from there is held back now."""
    waiting = asyncio.create_task(gaps.wait(where))
    for _ in range(3):
        await asyncio.sleep(0)
    waiting.cancel()
    return not waiting.done() or waiting.cancelled()


async def test_a_new_session_of_one_shard_holds_back_the_messages_of_that_shard_alone(sharded: SessionGaps) -> None:
    for shard in (0, 1):
        gap = sharded.take(shard)
        assert gap is not None
        sharded.end(gap)
    sharded.open(1)
    assert await waits(sharded, guild(1))
    assert not await waits(sharded, guild(0))
    assert not await waits(sharded, None)
    gap = sharded.take(1)
    assert gap is not None
    sharded.end(gap)
    assert not await waits(sharded, guild(1))


async def test_a_gap_that_is_not_searched_yet_goes_on_with_the_next_session(single: SessionGaps) -> None:
    single.open(0)
    single.open(0)
    gap = single.take(0)
    assert gap is not None
    assert gap.gap.newest_id == 1
    assert single.take(0) is None
    single.open(0)
    later = single.take(0)
    assert later is not None
    assert later.gap.newest_id == 2
    single.end(gap)
    assert await waits(single, guild(7))
    single.end(later)
    assert not await waits(single, guild(7))


async def test_no_message_waits_longer_than_allowed(single: SessionGaps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_gaps, "MAX_WAIT_S", 0.01)
    single.open(0)
    await asyncio.wait_for(single.wait(None), 10)
    gap = single.take(0)  # the missed messages are still found, if the shard becomes ready later
    assert gap is not None
    single.end(gap)


async def test_after_the_end_nobody_waits(single: SessionGaps) -> None:
    single.open(0)
    single.end_all()
    assert not await waits(single, None)

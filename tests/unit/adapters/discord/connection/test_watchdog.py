"""Silence of the gateway is told from events and heartbeats."""

import asyncio
from types import SimpleNamespace
from typing import cast

import discord
import pytest

from adapters.discord.connection import watchdog
from adapters.discord.connection.watchdog import Watchdog


class Line:
    """A client of which only the latency is known."""

    latency = float("nan")


async def test_silence_is_broken_by_events_and_by_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: now))
    line = Line()
    dog = Watchdog(cast(discord.Client, line))
    now = 150.0
    assert dog.silence_s() == 50
    dog.record_event()
    assert dog.silence_s() == 0
    now = 160.0
    line.latency = 0.04
    assert dog.silence_s() == 0
    now = 190.0
    assert dog.silence_s() == 30
    await asyncio.wait_for(dog.wait_for_silence(30), 10)

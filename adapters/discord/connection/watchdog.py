"""Watchdog of the gateway's last event or heartbeat, independent of the library's view of the connection."""

import asyncio
import math
import time

import discord

CHECK_INTERVAL_S = 5.0


class Watchdog:
    """Measures the silence of the gateway. A heartbeat's acknowledgement changes the latency, so it counts as well."""

    def __init__(self, bot: discord.Client) -> None:
        self._bot = bot
        self._latency = bot.latency
        self._last_event_at = time.monotonic()

    def record_event(self) -> None:
        """Record that an event has arrived."""
        self._last_event_at = time.monotonic()

    def silence_s(self) -> float:
        """Seconds since the last event or heartbeat."""
        latency = self._bot.latency
        if not math.isnan(latency) and latency != self._latency:
            self._latency = latency
            self.record_event()
        return time.monotonic() - self._last_event_at

    async def wait_for_silence(self, after_s: float) -> None:
        """Return once the gateway has been silent for `after_s`."""
        remaining_s = after_s - self.silence_s()
        while remaining_s > 0:
            await asyncio.sleep(min(remaining_s, CHECK_INTERVAL_S))
            remaining_s = after_s - self.silence_s()

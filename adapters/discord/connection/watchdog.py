"""Watches the gateway: its last event or heartbeat, whatever Discord's library believes of the connection."""

import asyncio
import math
import time

import discord

LOOKED_EVERY_S = 5.0


class Watchdog:
    """Knows how long the gateway has been silent. A heartbeat's answer changes the latency, so it counts as well."""

    def __init__(self, bot: discord.Client) -> None:
        self._bot = bot
        self._latency = bot.latency
        self._last_event_at = time.monotonic()

    def record_event(self) -> None:
        """Something has come from the gateway."""
        self._last_event_at = time.monotonic()

    def silence_s(self) -> float:
        """Seconds since the gateway was last heard."""
        latency = self._bot.latency
        if not math.isnan(latency) and latency != self._latency:
            self._latency = latency
            self.record_event()
        return time.monotonic() - self._last_event_at

    async def wait_for_silence(self, after_s: float) -> None:
        """Returns when the gateway has been silent for so long."""
        left = after_s - self.silence_s()
        while left > 0:
            await asyncio.sleep(min(left, LOOKED_EVERY_S))
            left = after_s - self.silence_s()

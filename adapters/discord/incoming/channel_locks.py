"""Keeps the messages of each channel in the order in which they came, however long each takes to be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lane:
    """One channel's; `users` hold it or wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Lanes:
    """One lane for each channel in use. A lock of asyncio wakes those who wait in the order they came."""

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}

    @asynccontextmanager
    async def turn(self, channel_id: int) -> AsyncIterator[None]:
        """Wait for everything that came earlier in the channel."""
        lane = self._lanes.setdefault(channel_id, Lane())
        lane.users += 1
        try:
            async with lane.lock:
                yield
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[channel_id]

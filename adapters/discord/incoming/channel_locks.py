"""Keeps the messages of each channel in the order in which they came, however long each takes to be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class CountedLock:
    """One channel's; `use_count` hold it or wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    use_count: int = 0


class KeyedLocks:
    """One lane for each channel in use. A lock of asyncio wakes those who wait in the order they came."""

    def __init__(self) -> None:
        self._locks: dict[int, CountedLock] = {}

    @asynccontextmanager
    async def hold_lock(self, channel_id: int) -> AsyncIterator[None]:
        """Wait for everything that came earlier in the channel."""
        lane = self._locks.setdefault(channel_id, CountedLock())
        lane.use_count += 1
        try:
            async with lane.lock:
                yield
        finally:
            lane.use_count -= 1
            if not lane.use_count:
                del self._locks[channel_id]

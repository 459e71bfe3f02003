"""Ordering per key: work for one channel or room runs one piece at a time, in the order of arrival."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class CountedLock:
    """The lock of one key; `use_count` pieces of work hold it or wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    use_count: int = 0


class KeyedQueue(Generic[Key]):
    """Runs work in order for each key; different keys do not wait for each other."""

    def __init__(self) -> None:
        self._locks: dict[Key, CountedLock] = {}

    async def run(self, key: Key, work: Callable[[], Awaitable[None]]) -> None:
        """Run work once all earlier work of the key has ended, also if that failed. Raises what the work raises."""
        entry = self._locks.setdefault(key, CountedLock())
        entry.use_count += 1
        try:
            async with entry.lock:  # wakes its waiters in the order of their arrival
                await work()
        finally:
            entry.use_count -= 1
            if not entry.use_count:
                del self._locks[key]

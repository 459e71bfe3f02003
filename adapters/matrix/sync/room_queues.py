"""Keeps what is done for each room in the order in which it came, however long each piece takes."""

import asyncio
from collections.abc import Awaitable, Callable

from adapters.matrix.background_tasks import BackgroundTasks

QueuedWork = Callable[[], Awaitable[None]]


class KeyedQueue:
    """One lane for each room in use; rooms do not wait for each other."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}
        self._background = BackgroundTasks()

    def add(self, room_id: str, work: QueuedWork) -> asyncio.Task[None]:
        """Begin a piece of work once everything that was added earlier for the room has ended."""
        task = self._background.start(_run_after(self._last.get(room_id), work), f"An event of {room_id}")
        self._last[room_id] = task
        task.add_done_callback(lambda _: self._leave(room_id, task))
        return task

    async def close(self) -> None:
        """End all of it."""
        await self._background.close()

    def _leave(self, room_id: str, task: asyncio.Task[None]) -> None:
        if self._last.get(room_id) is task:
            del self._last[room_id]


async def _run_after(earlier: asyncio.Task[None] | None, work: QueuedWork) -> None:
    if earlier is not None:
        await asyncio.wait([earlier])
    await work()

"""Background tasks: references kept until they end, errors logged, all cancelled on close."""

import asyncio
import logging
from collections.abc import Coroutine

from adapters.matrix.homeserver import LoggedOut

log = logging.getLogger(__name__)


class BackgroundTasks:
    """Running tasks. An error in one is logged and affects no other."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Start a task; `name` is its name in the log."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    @property
    def is_busy(self) -> bool:
        """Whether any task is running."""
        return bool(self._tasks)

    async def close(self) -> None:
        """Cancel all tasks and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # A logout is reported once, by the sync loop.
        if error is not None and not isinstance(error, LoggedOut):
            log.error("Could not finish a background task: %s", task.get_name(), exc_info=error)

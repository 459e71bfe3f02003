"""Work that nobody waits for: it is kept until it ends, its errors are told, and it can be ended."""

import asyncio
import logging
from collections.abc import Coroutine

from adapters.matrix.homeserver import LoggedOut

log = logging.getLogger(__name__)


class BackgroundTasks:
    """Tasks under way. An error in one is logged: it is the work's own, and ends nothing else."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Begin; `name` is what the log calls it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._tasks)

    async def close(self) -> None:
        """End all of it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # That we are logged out is told once, by the loop that listens.
        if error is not None and not isinstance(error, LoggedOut):
            log.error("%s failed", task.get_name(), exc_info=error)

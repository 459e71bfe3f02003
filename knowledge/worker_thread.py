"""A named thread that runs jobs one at a time, urgent ones first, with results as asyncio futures."""

import asyncio
import itertools
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

SLICE_S = 0.03
"""Longest slice of a long job: with overhead, an urgent job waits 50 ms at most."""

CLOSE_LIMIT_S = 60.0
"""How long the end of a thread is waited for: far longer than any job takes that only computes."""

_log = logging.getLogger(__name__)
_STOP, _URGENT, _BULK = range(3)


@dataclass(order=True)
class _Job:
    rank: int
    number: int
    future: "asyncio.Future[Any]" = field(compare=False)
    function: Callable[[], Any] = field(compare=False)


class WorkerThread:
    """One thread, started by the constructor. Jobs run in order of urgency, then of submission.

    `niceness` lowers the thread's priority below the process's, where the system has priorities of threads (Linux).
    """

    def __init__(self, name: str, niceness: int = 0) -> None:
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._closed = False
        self._niceness = niceness
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, function: Callable[[], T], *, urgent: bool = False) -> T:
        """Run `function` on the thread; its result or exception. Cancelled before it starts, the job never runs."""
        result: T = await self._put(_URGENT if urgent else _BULK, function)
        return result

    async def run_slices(
        self, items: Iterator[T], slice_s: float = SLICE_S, limit_s: float | None = None
    ) -> AsyncIterator[list[T]]:
        """The items of an iterator in batches, each made on the thread in `slice_s` seconds (at least one item).

        Raises TimeoutError when a batch takes longer than `limit_s`; its job goes on, and so the thread is lost.
        """
        while True:
            async with asyncio.timeout(limit_s):
                batch = await self.run(lambda: _advance(items, slice_s))
            if not batch:
                return
            yield batch

    async def close(self, limit_s: float = CLOSE_LIMIT_S) -> None:
        """Finish the running job, cancel waiting ones, end the thread. Later jobs raise RuntimeError.

        A thread whose job takes longer than `limit_s` is left behind: it may wait for a disk that never answers.
        """
        if self._closed:
            return
        stopped = self._put(_STOP, lambda: None)
        self._closed = True
        done, _ = await asyncio.wait([stopped], timeout=limit_s)
        if done:
            self._thread.join()
        else:
            _log.warning("Left the thread %r behind: its job has not ended after %g s.", self._thread.name, limit_s)

    def _put(self, rank: int, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        if self._closed:
            raise RuntimeError(f"The thread {self._thread.name} has ended.")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(rank, next(self._numbers), future, function))
        return future

    def _work(self) -> None:
        if self._niceness:
            _lower_priority(self._niceness)
        while True:
            job = self._jobs.get()
            if job.rank == _STOP:
                break
            if not job.future.cancelled():
                self._finish(job)
        while not self._jobs.empty():
            waiting = self._jobs.get()
            _tell(waiting.future, waiting.future.cancel)
        _tell(job.future, _set_result, job.future, None)

    @staticmethod
    def _finish(job: _Job) -> None:
        try:
            result = job.function()
        except BaseException as error:  # noqa: BLE001 - set as the future's exception
            _tell(job.future, _set_exception, job.future, error)
        else:
            _tell(job.future, _set_result, job.future, result)


def _lower_priority(niceness: int) -> None:
    """Lower the priority of the calling thread, where the system has priorities of threads."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + niceness))


def _advance(items: Iterator[T], slice_s: float) -> list[T]:
    batch: list[T] = []
    deadline = time.monotonic() + slice_s
    for item in items:
        batch.append(item)
        if time.monotonic() >= deadline:
            break
    return batch


def _tell(future: "asyncio.Future[Any]", callback: Callable[..., object], *arguments: object) -> None:
    """Call back on the future's loop, unless that has closed: then the thread was left behind."""
    with suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(callback, *arguments)


def _set_result(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)

"""A named thread that runs jobs one at a time, urgent ones first, with results as asyncio futures."""

import asyncio
import itertools
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

SLICE_S = 0.03
"""Longest slice of a long job: with overhead, an urgent job waits 50 ms at most."""

_STOP, _URGENT, _BULK = range(3)


@dataclass(order=True)
class _Job:
    rank: int
    number: int
    future: "asyncio.Future[Any]" = field(compare=False)
    function: Callable[[], Any] = field(compare=False)


class WorkerThread:
    """One thread, started by the constructor. Jobs run in order of urgency, then of submission."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, function: Callable[[], T], *, urgent: bool = False) -> T:
        """Run `function` on the thread; its result or exception. Cancelled before it starts, the job never runs."""
        result: T = await self._put(_URGENT if urgent else _BULK, function)
        return result

    async def run_slices(self, items: Iterator[T], slice_s: float = SLICE_S) -> AsyncIterator[list[T]]:
        """The items of an iterator in batches, each made on the thread in `slice_s` seconds (at least one item)."""
        while batch := await self.run(lambda: _advance(items, slice_s)):
            yield batch

    async def close(self) -> None:
        """Finish the running job, cancel waiting ones, end the thread. Later jobs raise RuntimeError."""
        if not self._closed:
            stopped = self._put(_STOP, lambda: None)
            self._closed = True
            await stopped
            self._thread.join()

    def _put(self, rank: int, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        if self._closed:
            raise RuntimeError(f"The thread {self._thread.name} has ended.")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(rank, next(self._numbers), future, function))
        return future

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job.rank == _STOP:
                break
            if not job.future.cancelled():
                self._finish(job)
        while not self._jobs.empty():
            waiting = self._jobs.get()
            waiting.future.get_loop().call_soon_threadsafe(waiting.future.cancel)
        job.future.get_loop().call_soon_threadsafe(_set_result, job.future, None)

    @staticmethod
    def _finish(job: _Job) -> None:
        loop = job.future.get_loop()
        try:
            result = job.function()
        except BaseException as error:  # noqa: BLE001 - set as the future's exception
            loop.call_soon_threadsafe(_set_exception, job.future, error)
        else:
            loop.call_soon_threadsafe(_set_result, job.future, result)


def _advance(items: Iterator[T], slice_s: float) -> list[T]:
    batch: list[T] = []
    deadline = time.monotonic() + slice_s
    for item in items:
        batch.append(item)
        if time.monotonic() >= deadline:
            break
    return batch


def _set_result(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)

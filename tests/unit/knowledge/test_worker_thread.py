import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from knowledge.worker_thread import WorkerThread


@pytest.fixture
async def worker() -> AsyncIterator[WorkerThread]:
    worker = WorkerThread("bench")
    yield worker
    await worker.close()


async def test_a_job_runs_on_the_named_thread_and_gives_its_result(worker: WorkerThread) -> None:
    assert await worker.run(lambda: threading.current_thread().name) == "bench"


async def test_what_a_job_raises_reaches_whoever_awaits_it_and_the_thread_goes_on(worker: WorkerThread) -> None:
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 / 0)
    assert await worker.run(lambda: 2) == 2


async def test_an_urgent_job_overtakes_those_that_wait(worker: WorkerThread) -> None:
    gate, order = threading.Event(), list[str]()
    first = asyncio.ensure_future(worker.run(lambda: gate.wait(10)))
    await asyncio.sleep(0)
    bulk = [asyncio.ensure_future(worker.run(lambda: order.append("bulk"))) for _ in range(3)]
    await asyncio.sleep(0)
    urgent = asyncio.ensure_future(worker.run(lambda: order.append("urgent"), urgent=True))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, urgent, *bulk)
    assert order == ["urgent", "bulk", "bulk", "bulk"]


async def test_a_job_cancelled_while_it_waits_never_starts(worker: WorkerThread) -> None:
    gate, started = threading.Event(), list[bool]()
    first = asyncio.ensure_future(worker.run(lambda: gate.wait(10)))
    waiting = asyncio.ensure_future(worker.run(lambda: started.append(True)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    gate.set()
    await first
    await worker.run(lambda: None)
    assert started == []


async def test_slices_give_every_item_in_order_and_let_urgent_jobs_between(worker: WorkerThread) -> None:
    seen: list[object] = []

    def items() -> Iterator[int]:
        for number in range(5):
            seen.append(number)
            yield number

    async for batch in worker.run_slices(items(), slice_s=0.0):
        assert len(batch) == 1
        await worker.run(lambda: seen.append("urgent"), urgent=True)
    assert seen == [0, "urgent", 1, "urgent", 2, "urgent", 3, "urgent", 4, "urgent"]


async def test_a_slice_takes_many_quick_items(worker: WorkerThread) -> None:
    batches = [batch async for batch in worker.run_slices(iter(range(1000)), slice_s=5.0)]
    assert batches == [list(range(1000))]


async def test_closing_cancels_what_waits_and_refuses_what_comes_later() -> None:
    worker = WorkerThread("bench")
    gate = threading.Event()
    running = asyncio.ensure_future(worker.run(lambda: gate.wait(10)))
    waiting = asyncio.ensure_future(worker.run(lambda: None))
    await asyncio.sleep(0.01)
    closing = asyncio.ensure_future(worker.close())
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert await running is True
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(RuntimeError, match="bench has ended"):
        await worker.run(lambda: None)


async def test_a_slice_that_takes_longer_than_its_limit_is_given_up() -> None:
    worker, gate = WorkerThread("bench"), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        gate.wait(60)
        yield 2

    slices = worker.run_slices(items(), slice_s=0.0, limit_s=0.05)
    assert await anext(slices) == [1]
    with pytest.raises(TimeoutError):
        await anext(slices)
    gate.set()
    await worker.close()


async def held(worker: WorkerThread, gate: threading.Event) -> "asyncio.Future[bool]":
    """A job that has begun, and waits for the gate."""
    begun, loop = asyncio.Event(), asyncio.get_running_loop()

    def job() -> bool:
        loop.call_soon_threadsafe(begun.set)
        return gate.wait(60)

    running = asyncio.ensure_future(worker.run(job))
    await begun.wait()
    return running


async def test_closing_leaves_a_thread_behind_that_does_not_come_back(caplog: pytest.LogCaptureFixture) -> None:
    worker, gate = WorkerThread("bench"), threading.Event()
    running = await held(worker, gate)
    await worker.close(limit_s=0.05)
    assert "Left the thread 'bench' behind" in caplog.text
    assert not running.done()
    gate.set()
    assert await running is True


def test_a_thread_that_was_left_behind_ends_quietly_after_its_loop() -> None:
    gate, ended = threading.Event(), list[threading.Thread]()

    async def leave() -> None:
        worker = WorkerThread("bench")
        ended.append(worker._thread)
        running = await held(worker, gate)
        await worker.close(limit_s=0)
        running.cancel()

    asyncio.run(leave())
    gate.set()
    ended[0].join(60)
    assert not ended[0].is_alive()


async def test_a_threads_priority_can_be_below_the_processs() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id() if sys.platform == "linux" else 0)

    own = niceness()
    lower = WorkerThread("bulk", niceness=5)
    assert await lower.run(niceness) == (min(19, own + 5) if sys.platform == "linux" else own)
    assert niceness() == own
    await lower.close()

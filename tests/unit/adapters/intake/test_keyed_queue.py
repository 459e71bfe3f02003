"""Work for one channel stays in order, and other channels do not wait for it."""

import asyncio
from functools import partial

import pytest

from adapters.intake.keyed_queue import KeyedQueue


async def test_a_channel_keeps_its_order_while_another_goes_on() -> None:
    queue: KeyedQueue[int] = KeyedQueue()
    order, slow = list[str](), asyncio.Event()

    async def handle(name: str, waits: asyncio.Event | None = None) -> None:
        if waits:
            await waits.wait()
        order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(queue.run(1, partial(handle, "first", slow)))
        group.create_task(queue.run(1, partial(handle, "second")))
        group.create_task(queue.run(2, partial(handle, "elsewhere")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        slow.set()
    assert order == ["elsewhere", "first", "second"]
    assert not queue._locks


async def test_work_that_fails_or_is_cancelled_holds_nothing_up() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    order, never = list[str](), asyncio.Event()

    async def fail() -> None:
        raise ValueError

    async def note() -> None:
        order.append("third")

    async def wait() -> None:
        await never.wait()

    with pytest.raises(ValueError):
        await queue.run("a", fail)
    first, second = asyncio.create_task(queue.run("a", wait)), asyncio.create_task(queue.run("a", wait))
    third = asyncio.create_task(queue.run("a", note))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    assert order == []
    first.cancel()
    await asyncio.wait_for(third, 5)
    assert order == ["third"]
    assert not queue._locks

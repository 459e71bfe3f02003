"""Messages of one channel are taken in order."""

import asyncio

from adapters.discord.incoming.channel_locks import KeyedLocks


async def test_a_channel_keeps_its_order_while_another_goes_on() -> None:
    lanes, order, slow = KeyedLocks(), list[str](), asyncio.Event()

    async def message(channel: int, name: str, waits: asyncio.Event | None = None) -> None:
        async with lanes.hold_lock(channel):
            if waits:
                await waits.wait()
            order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(message(1, "first", slow))
        group.create_task(message(1, "second"))
        group.create_task(message(2, "elsewhere"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        slow.set()
    assert order == ["elsewhere", "first", "second"]
    assert not lanes._locks

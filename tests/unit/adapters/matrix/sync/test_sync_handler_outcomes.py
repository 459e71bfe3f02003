"""Nothing is noted as done before it is, and what fails keeps nothing else from being done."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix import retry
from adapters.matrix.events import ToDevice
from adapters.matrix.sync import undecryptable
from bot.core.messages import Message
from bot.core.ports import Adapter, Ended, Reply, ResumedMessage
from tests.fakes.matrix_station import MatrixSessionHarness
from tests.fakes.until import rounds, until
from tests.fakes.wire import ALICE, ROOM
from tests.fakes.wire_rooms import text

OTHER = "!other:home.example"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(undecryptable, "GRACE_S", 0.002)


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[MatrixSessionHarness]:
    """A direct chat with Alice, started."""
    station = MatrixSessionHarness(tmp_path)
    station.wire.add_room(ROOM)
    station.wire.say("long ago")
    await station.start()
    yield station
    if station.task is not None:
        await station.stop()


async def stopped(station: MatrixSessionHarness) -> None:
    await station.stop()
    station.task = None


async def test_a_message_read_late_waits_on_disk_until_the_core_has_it(station: MatrixSessionHarness) -> None:
    take, gate = station.inbox.handle, asyncio.Event()

    async def waiting(message: Message, reply: Reply) -> Ended | None:
        await gate.wait()
        return await take(message, reply)

    station.inbox.handle = waiting  # type: ignore[method-assign]
    station.wire.post(ROOM, ALICE, "m.room.message", text("a secret question"), session_id="S")
    await station.settled()
    station.wire.give_key(ROOM, "S")
    await rounds()
    await station.stop()  # while the core has not taken it: its sync is long past
    station.task = None
    gate.set()
    await station.start()
    await until(lambda: station.asked == ["a secret question"])
    assert not station.marks.saved.unread


async def test_what_an_earlier_process_left_is_gone_on_with_although_the_first_try_failed(
    station: MatrixSessionHarness,
) -> None:
    station.wire.say("left")
    await station.settled()
    await stopped(station)
    station.inbox.left = list(station.inbox.handled)
    resume, failures = station.inbox.resume, [TransientFailure("503")]

    async def failing(adapter: Adapter) -> list[ResumedMessage]:
        if failures:
            raise failures.pop()
        return await resume(adapter)

    station.inbox.resume = failing  # type: ignore[method-assign]
    await station.start()
    await until(lambda: not station.inbox.left)


async def test_a_message_to_the_device_that_nobody_can_take_keeps_back_no_other(
    station: MatrixSessionHarness, caplog: pytest.LogCaptureFixture
) -> None:
    take = station.verifying.take_to_device

    async def failing(message: ToDevice) -> None:
        await take(message)
        raise ValueError("unforeseen")

    station.verifying.take_to_device = failing  # type: ignore[method-assign]
    await stopped(station)
    await station.start()
    for number in range(3):
        station.wire.tell(ALICE, "m.dummy", {})
        station.wire.say(f"{number}")
        await station.settled()
    assert station.asked == ["0", "1", "2"]
    assert len(station.verifying.heard) == 3
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


async def test_a_room_whose_missed_messages_cannot_be_found_keeps_back_no_other(
    station: MatrixSessionHarness, caplog: pytest.LogCaptureFixture
) -> None:
    station.wire.add_room(OTHER)
    station.wire.say("long ago", room_id=OTHER)
    await station.settled()
    await stopped(station)
    station.wire.timeline_limit = 2
    for number in range(4):
        station.wire.say(f"here {number}")
    station.wire.say("there", room_id=OTHER)
    station.wire.faults.fail("page", ValueError("unforeseen"))
    await station.start()
    assert station.asked[-3:] == ["here 2", "here 3", "there"]
    assert f"Could not find the missed events of {ROOM}" in caplog.text

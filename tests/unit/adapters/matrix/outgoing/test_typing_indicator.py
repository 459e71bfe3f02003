"""Typing in rooms, for as long as any answer there is being written."""

import asyncio

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix.homeserver import RequestRefused
from adapters.matrix.outgoing import typing_indicator as indicator_module
from adapters.matrix.outgoing.typing_indicator import TypingIndicators
from tests.fakes.wire import ROOM, FakeHomeserver


def room() -> FakeHomeserver:
    wire = FakeHomeserver()
    wire.add_room()
    return wire


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_typing_is_shown_until_the_last_answer_in_the_room_has_ended() -> None:
    wire = room()
    indicator = TypingIndicators(wire)
    indicator.start(ROOM, "one")
    indicator.start(ROOM, "two")
    await settled()
    indicator.stop(ROOM, "one")
    await settled()
    assert wire.typing_log == [(ROOM, True)]
    indicator.stop(ROOM, "two")
    indicator.stop(ROOM, "two")
    await settled()
    assert wire.typing_log == [(ROOM, True), (ROOM, False)]
    indicator.start(ROOM, "three")
    await settled()
    assert wire.typing_log[-1] == (ROOM, True)
    await indicator.close()


async def test_typing_is_renewed_before_it_fades(monkeypatch: pytest.MonkeyPatch) -> None:
    assert indicator_module.RENEWED_S < indicator_module.TYPING_S
    monkeypatch.setattr(indicator_module, "RENEWED_S", 0.001)
    wire = room()
    indicator = TypingIndicators(wire)
    indicator.start(ROOM, "one")
    async with asyncio.timeout(60):
        while len(wire.typing_log) < 3:
            await asyncio.sleep(0.001)
    await indicator.close()


async def test_an_answer_that_begins_while_typing_is_being_ended_is_shown() -> None:
    wire = room()
    indicator = TypingIndicators(wire)
    indicator.start(ROOM, "one")
    await settled()
    with wire.faults.holding("typing"):
        indicator.stop(ROOM, "one")
        await settled()
        assert wire.faults.waiting("typing") == 1
        indicator.start(ROOM, "two")
    await settled()
    assert wire.typing_log == [(ROOM, True), (ROOM, False), (ROOM, True)]
    await indicator.close()


async def test_an_answer_that_ends_while_typing_is_being_told_leaves_none() -> None:
    wire = room()
    indicator = TypingIndicators(wire)
    with wire.faults.holding("typing"):
        indicator.start(ROOM, "one")
        await settled()
        indicator.stop(ROOM, "one")
    await settled()
    assert wire.typing_log[-1] == (ROOM, False)
    await indicator.close()


async def test_answers_that_nobody_ends_show_typing_no_longer_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indicator_module, "LONGEST_S", 0.005)
    wire = room()
    indicator = TypingIndicators(wire)
    indicator.start(ROOM, "one")
    await asyncio.sleep(0.03)
    assert wire.typing_log == [(ROOM, True), (ROOM, False)]
    indicator.stop(ROOM, "one")


@pytest.mark.parametrize("error", [TransientFailure(), RequestRefused(403, "M_FORBIDDEN", {})])
async def test_that_typing_is_refused_disturbs_nothing(error: Exception) -> None:
    wire = room()
    wire.faults.always("typing", error)
    indicator = TypingIndicators(wire)
    indicator.start(ROOM, "one")
    await settled()
    indicator.stop(ROOM, "one")
    await settled()
    assert wire.typing_log == []
    wire.faults.always("typing", None)
    indicator.start(ROOM, "two")
    await settled()
    assert wire.typing_log == [(ROOM, True)]
    await indicator.close()

"""Member lists are loaded where a count decides, once, and a homeserver that does not give them holds nothing up."""

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix import retry
from adapters.matrix.homeserver import LoggedOut, RequestRefused
from adapters.matrix.sync import member_lists
from adapters.matrix.sync.member_lists import MemberLists
from tests.fakes.wire import ALICE, ROOM, FakeHomeserver


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.001)


def asked(wire: FakeHomeserver) -> int:
    return wire.faults.requests.count("members")


@pytest.mark.parametrize(("told_count", "asks"), [(1, 1), (2, 1), (3, 0)])
async def test_only_where_the_count_decides_the_list_is_loaded_and_once(told_count: int, asks: int) -> None:
    wire = FakeHomeserver()
    wire.add_room(ROOM, ALICE, "@ben:x", told_count=told_count)
    members = MemberLists(wire)
    for _ in range(3):
        room = await members.confirm(ROOM)
        assert room is not None and room.member_count == 3
    assert asked(wire) == asks


async def test_a_room_that_we_are_not_in_has_no_list() -> None:
    assert await MemberLists(FakeHomeserver()).confirm(ROOM) is None


async def test_a_homeserver_that_fails_for_a_moment_is_asked_again() -> None:
    wire = FakeHomeserver()
    wire.add_room(told_count=1)
    wire.faults.fail("members", TransientFailure("504"), times=2)
    room = await MemberLists(wire).confirm(ROOM)
    assert room is not None and room.is_private
    assert asked(wire) == 3


@pytest.mark.parametrize("error", [TransientFailure("504"), RequestRefused(403, "M_FORBIDDEN", {})])
async def test_without_the_list_no_room_is_private_and_it_is_not_asked_for_with_each_event(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_lists, "LOADED_WITHIN_S", 0.05)
    wire = FakeHomeserver()
    wire.add_room(told_count=2)
    wire.faults.always("members", error)
    members = MemberLists(wire)
    room = await members.confirm(ROOM)
    assert room is not None and room.is_direct and not room.is_private
    asks = asked(wire)
    assert await members.confirm(ROOM) == room
    assert asked(wire) == asks
    monkeypatch.setattr(member_lists, "RETRIED_AFTER_S", 0.0)
    wire.faults.always("members", None)
    room = await members.confirm(ROOM)
    assert room is not None and room.is_private


async def test_being_logged_out_is_passed_on() -> None:
    wire = FakeHomeserver()
    wire.add_room(told_count=1)
    wire.faults.always("members", LoggedOut(soft=False))
    with pytest.raises(LoggedOut):
        await MemberLists(wire).confirm(ROOM)

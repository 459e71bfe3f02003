"""Which rooms we are in, and which of them are encrypted whatever the server says later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.matrix.crypto.room_store import RoomStore
from tests.fakes.key_exchange import Device, KeyExchange

ROOM, ANA = "!room", "@ana:home"


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(KeyExchange(), tmp_path, "@bot:home")
    yield device
    device.held.close()


def state(kind: str, content: Any, key: str = "") -> dict[str, Any]:
    return {"event_id": "$1", "sender": ANA, "type": kind, "state_key": key, "content": content}


def joined(*events: Any, limited: bool = False, **more: Any) -> dict[str, Any]:
    return {"rooms": {"join": {ROOM: {"state": {"events": list(events)}, "timeline": {"limited": limited}, **more}}}}


ENCRYPTION = state("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})


def test_a_room_is_known_when_a_sync_has_told_of_it_and_until_one_tells_that_it_was_left(device: Device) -> None:
    roster = RoomStore(device.machine.store)
    assert (roster.is_complete, roster.get_room(ROOM)) == (False, None)
    assert roster.apply_sync(joined(state("m.room.name", {"name": "Kitchen"}))) == set()
    view = roster.get_room(ROOM)
    assert roster.is_complete and view and (view.name, view.encrypted) == ("Kitchen", False)
    assert roster.apply_sync({"rooms": {"leave": {ROOM: {}}}}) == {ROOM}
    assert roster.get_room(ROOM) is None


def test_state_in_the_timeline_counts_too(device: Device) -> None:
    roster = RoomStore(device.machine.store)
    roster.apply_sync({"rooms": {"join": {ROOM: {"timeline": {"events": [ENCRYPTION]}}}}})
    known = roster.get_state(ROOM)
    assert known and known.encrypted


def test_encryption_is_remembered_over_restarts_and_a_server_that_tells_of_it_no_more(device: Device) -> None:
    RoomStore(device.machine.store).apply_sync(joined(ENCRYPTION))
    device.restart()
    roster = RoomStore(device.machine.store)
    roster.apply_sync(joined())
    known = roster.get_state(ROOM)
    assert known and known.encrypted


def test_after_a_gap_it_is_not_known_who_is_there(device: Device) -> None:
    roster = RoomStore(device.machine.store)
    roster.apply_sync(joined(summary={"m.joined_member_count": 2}))
    known = roster.get_state(ROOM)
    assert known and roster.get_room(ROOM).member_count == 2  # type: ignore[union-attr]
    known.members_complete = True
    changes = known.member_changes
    roster.apply_sync(joined(limited=True))
    assert not known.members_complete and known.member_changes > changes


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["join", "leave", "!r", "state", "timeline", "events", "summary"]), inner)
    ),
    max_leaves=10,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_nothing_in_a_sync_raises(device: Device, odd: Any) -> None:
    roster = RoomStore(device.machine.store)
    for answer in ({"rooms": odd}, {"rooms": {"join": odd, "leave": odd}}, {"rooms": {"join": {"!r": odd}}}):
        roster.apply_sync(answer)

"""What a room's state says of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.matrix.crypto.room_state import CREATOR_POWER_LEVEL, STATE_TYPES, RoomState
from adapters.matrix.events import Event

ROOM, ANA, BEN = "!room", "@ana:home", "@ben:home"


def state(kind: str, content: Any, key: str = "", sender: str = ANA) -> Event:
    return Event(ROOM, "$1", sender, kind, content, state_key=key)


def room(*events: Event) -> RoomState:
    known = RoomState(ROOM)
    for event in events:
        known.apply_event(event)
    return known


def member(user: str, membership: str, name: str = "") -> Event:
    return state("m.room.member", {"membership": membership, "displayname": name}, user, user)


def test_counts_come_from_the_summary_until_everybody_is_known() -> None:
    known = room(member(ANA, "join"), state("m.room.join_rules", {"join_rule": "invite"}))
    assert known.to_room().member_count is None
    known.apply_summary({"m.joined_member_count": 4, "m.invited_member_count": 1})
    assert known.to_room().member_count == 5
    known.apply_summary({"m.joined_member_count": 3})
    assert known.to_room().member_count == 4
    known.set_members([member(ANA, "join"), member(BEN, "invite"), member("@gone:home", "ban")])
    assert known.to_room().member_count == 2 and known.to_room().is_direct and known.to_room().is_private
    assert known.to_room().members == {ANA, BEN}
    known.apply_event(member(BEN, "leave"))
    assert known.to_room().member_count == 1


def test_a_count_of_two_makes_no_chat_private_before_everybody_is_known() -> None:
    known = room(state("m.room.join_rules", {"join_rule": "invite"}))
    known.apply_summary({"m.joined_member_count": 2})
    assert known.to_room().is_direct and not known.to_room().is_private
    known.set_members([member(ANA, "join"), member(BEN, "join"), member("@eve:home", "join")])
    assert not known.to_room().is_direct and not known.to_room().is_private


@pytest.mark.parametrize("content", [{}, {"join_rule": 7}, {"join_rule": "public"}, None])
def test_a_room_whose_join_rule_is_another_or_unknown_is_not_private(content: Any) -> None:
    known = room() if content is None else room(state("m.room.join_rules", content))
    known.set_members([member(ANA, "join"), member(BEN, "join")])
    assert not known.to_room().is_direct and not known.to_room().is_private


def test_a_space_and_the_power_for_messages_are_told() -> None:
    assert room(state("m.room.create", {"type": "m.space"})).to_room().is_space
    assert not room(state("m.room.create", {})).to_room().is_space
    levels = {"events_default": 10, "events": {"m.room.encrypted": 50}, "users": {ANA: 20}}
    known = room(state("m.room.power_levels", levels))
    assert known.to_room().may_write(ANA) and not known.to_room().may_write(BEN)
    known.apply_event(state("m.room.encryption", {}))
    assert not known.to_room().may_write(ANA)
    assert room().to_room().may_write(BEN)


def test_encryption_once_on_stays_on() -> None:
    known = room(state("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"}))
    known.apply_event(state("m.room.encryption", {}))
    assert known.to_room().encrypted
    assert room(state("m.room.encryption", {"algorithm": 7})).to_room().encrypted


def test_how_long_a_session_serves_is_the_rooms_choice_within_reason() -> None:
    known = room(state("m.room.encryption", {"rotation_period_msgs": 3, "rotation_period_ms": 7_200_000}))
    assert (known.rotation_messages, known.rotation_s) == (3, 7200)
    known = room(state("m.room.encryption", {"rotation_period_msgs": -1, "rotation_period_ms": 1}))
    assert (known.rotation_messages, known.rotation_s) == (1, 3600)
    known = room(state("m.room.encryption", {"rotation_period_msgs": 10**9, "rotation_period_ms": 10**15}))
    assert (known.rotation_messages, known.rotation_s) == (10_000, 7 * 24 * 3600)


def test_only_events_with_an_empty_key_are_the_rooms_state() -> None:
    known = room(
        state("m.room.name", {"name": "Kitchen"}),
        state("m.room.name", {"name": "Forged"}, key="x"),
        Event(ROOM, "$2", BEN, "m.room.name", {"name": "Message"}),
    )
    assert known.to_room().name == "Kitchen"


def test_without_a_name_it_is_called_by_its_alias() -> None:
    known = room(state("m.room.canonical_alias", {"alias": "#kitchen:home"}))
    assert known.to_room().name == "#kitchen:home"


@pytest.mark.parametrize(("version", "power"), [("11", 50), ("12", CREATOR_POWER_LEVEL), (None, 50)])
def test_creators_stand_above_all_in_new_rooms(version: str | None, power: int) -> None:
    create = {"room_version": version, "additional_creators": [BEN, 7]}
    view = room(
        state("m.room.create", create), state("m.room.power_levels", {"users": {ANA: 50}, "users_default": 5})
    ).to_room()
    assert view.power_level(ANA) == power
    assert view.power_level(BEN) == (CREATOR_POWER_LEVEL if version == "12" else 5)
    assert view.power_level("@carol:home") == 5


def test_without_power_levels_the_creator_alone_has_power() -> None:
    view = room(state("m.room.create", {"room_version": "10"})).to_room()
    assert (view.power_level(ANA), view.power_level(BEN)) == (100, 0)


def test_power_levels_of_odd_types_give_no_power() -> None:
    levels = {"users": {ANA: "100", BEN: True, "@x:home": [1]}, "users_default": {}}
    view = room(state("m.room.power_levels", levels)).to_room()
    assert (view.power_level(ANA), view.power_level(BEN), view.power_level("@x:home")) == (100, 0, 0)


@pytest.mark.parametrize(
    ("visibility", "readers"), [("joined", {ANA}), ("invited", {ANA, BEN}), ("shared", {ANA, BEN})]
)
def test_the_invited_get_keys_where_they_may_read(visibility: str, readers: set[str]) -> None:
    known = room(
        member(ANA, "join"),
        member(BEN, "invite"),
        state("m.room.history_visibility", {"history_visibility": visibility}),
    )
    assert known.readers() == readers


def test_an_open_history_is_told() -> None:
    known = room(state("m.room.history_visibility", {"history_visibility": "world_readable"}))
    assert known.to_room().world_readable


@given(
    st.sampled_from(STATE_TYPES),
    st.dictionaries(
        st.sampled_from(["membership", "users", "name", "alias", "room_version", "displayname", "users_default"]),
        st.none()
        | st.integers()
        | st.text(max_size=3)
        | st.lists(st.integers())
        | st.dictionaries(st.text(), st.floats()),
    ),
)
def test_nothing_in_it_raises(kind: str, content: dict[str, Any]) -> None:
    known = room(state(kind, content))
    known.apply_summary(content)
    known.apply_summary([content])
    known.readers()
    known.to_room()

"""Events are read whatever stands in them."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.matrix.api import parsing
from adapters.matrix.events import Invitation, ToDevice

RAW = {
    "event_id": "$1",
    "sender": "@ana:home",
    "type": "m.room.message",
    "content": {"body": "hello"},
    "origin_server_ts": 5,
    "unsigned": {"age": 7},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def test_an_event_as_the_specification_has_it() -> None:
    event = parsing.parse_event(RAW, "!room")
    assert event
    assert (event.room_id, event.event_id, event.sender, event.type) == ("!room", "$1", "@ana:home", "m.room.message")
    assert (event.content, event.sent_ms, event.age_ms, event.state_key) == ({"body": "hello"}, 5, 7, None)
    assert (event.redacts, event.encrypted, event.session_id) == ("", False, "")


@pytest.mark.parametrize("name", ["event_id", "sender", "type", "content"])
@pytest.mark.parametrize("value", [None, 7, [], ""])
def test_without_its_parts_it_is_no_event(name: str, value: Any) -> None:
    assert parsing.parse_event(RAW | {name: value}, "!room") is None


@given(st.dictionaries(st.sampled_from([*RAW, "state_key", "redacts"]), JSON), JSON)
def test_nothing_in_it_raises(change: dict[str, Any], odd: Any) -> None:
    parsing.parse_event(RAW | change, "!room")
    for raw in (odd, change, {"events": odd}, {"invite_state": {"events": [odd, change]}}, {"timeline": odd}):
        parsing.parse_event(raw, "!room")
        parsing.parse_to_device(raw)
        parsing.parse_invitation(raw, "!room", "@us:home")
        parsing.leave_sender(raw, "@us:home")


@pytest.mark.parametrize("raw", [{"redacts": "$2", "content": {}}, {"content": {"redacts": "$2"}}])
def test_a_redaction_names_its_event_in_old_rooms_and_new_ones(raw: dict[str, Any]) -> None:
    event = parsing.parse_event(RAW | {"type": "m.room.redaction"} | raw, "!room")
    assert event and event.redacts == "$2"


def test_a_message_cannot_pass_for_a_redaction() -> None:
    event = parsing.parse_event(RAW | {"content": {"redacts": "$2"}}, "!room")
    assert event and event.redacts == ""


def test_an_encrypted_event_names_its_session() -> None:
    event = parsing.parse_event(RAW | {"type": "m.room.encrypted", "content": {"session_id": "S"}}, "!room")
    assert event and (event.encrypted, event.session_id) == (True, "S")


def test_who_invites_and_for_what() -> None:
    member = {"type": "m.room.member", "state_key": "@us:home", "sender": "@ana:home"}
    invite = member | {"content": {"membership": "invite", "is_direct": True}}
    told = {"invite_state": {"events": [{"type": "m.room.name"}, member | {"state_key": "@x:home"}, invite]}}
    assert parsing.parse_invitation(told, "!room", "@us:home") == Invitation("!room", "@ana:home", True)
    assert parsing.parse_invitation({"invite_state": {"events": [member]}}, "!room", "@us:home") is None


def test_who_ended_our_stay() -> None:
    kick = {"type": "m.room.member", "state_key": "@us:home", "sender": "@ana:home"}
    assert parsing.leave_sender({"timeline": {"events": [kick]}}, "@us:home") == "@ana:home"
    assert parsing.leave_sender({"state": {"events": [kick]}}, "@us:home") == "@ana:home"
    assert parsing.leave_sender({}, "@us:home") == "@us:home"


def test_a_to_device_message() -> None:
    raw = {"sender": "@ana:home", "type": "m.dummy", "content": {"a": 1}}
    assert parsing.parse_to_device(raw) == ToDevice("@ana:home", "m.dummy", {"a": 1})


@pytest.mark.parametrize(
    ("value", "number"), [(3, 3), ("-3", -3), (True, None), (1.5, None), ("1" * 30, None), ("x", None), (10**400, None)]
)
def test_whole_numbers(value: Any, number: int | None) -> None:
    assert parsing.as_int(value) == number


def test_half_a_surrogate_pair_becomes_something_that_can_be_written() -> None:
    value = parsing.parse_json('{"body": "half \\ud83d, whole \\ud83e\\udd89"}')
    assert json.dumps(value, ensure_ascii=False).encode().decode() == '{"body": "half ?, whole 🦉"}'


@pytest.mark.parametrize("data", [b"", b"<html>", b"\xff\xfe", b"{", b"9" * 5000])
def test_what_is_no_json_is_none(data: bytes) -> None:
    assert asyncio.run(parsing.decode_json(data)) is None


def test_nested_too_deep_is_none_and_what_a_server_can_pass_on_is_read() -> None:
    assert asyncio.run(parsing.decode_json(b"[" * 200_000 + b"]" * 200_000)) is None
    depth = 960
    assert asyncio.run(parsing.decode_json(b'{"a":' * depth + b"1" + b"}" * depth)) is not None

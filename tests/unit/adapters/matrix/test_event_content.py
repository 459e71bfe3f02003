"""What an event's content says, whatever stands in it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.matrix.event_content import (
    Relation,
    as_event_id,
    get_text,
    mentioned_users,
    redaction_target,
    relation_of,
)
from adapters.matrix.events import Event, Room
from adapters.matrix.incoming.context import QuestionContext
from adapters.matrix.incoming.mentions import BotIdentity, mentions_bot
from adapters.matrix.incoming.parsed_message import ParsedMessage, apply_edit, parse_message
from adapters.matrix.incoming.plain_text import to_plain_text
from adapters.matrix.incoming.translate import RoomContext, build_message, message_facts
from adapters.matrix.settings import MatrixSettings

REPLY = {"m.in_reply_to": {"event_id": "$up"}}
THREAD = {"rel_type": "m.thread", "event_id": "$root"}


def event(content: Any, **more: Any) -> Event:
    return Event("!r:x", "$e", "@ana:x", "m.room.message", content, **more)


@pytest.mark.parametrize(
    ("relates_to", "expected"),
    [
        (None, Relation()),
        ({}, Relation()),
        (REPLY, Relation(reply_to="$up", in_reply_to="$up")),
        (THREAD, Relation(thread="$root")),
        ({**THREAD, **REPLY}, Relation(reply_to="$up", in_reply_to="$up", thread="$root")),
        ({**THREAD, **REPLY, "is_falling_back": True}, Relation(in_reply_to="$up", thread="$root")),
        ({**THREAD, **REPLY, "is_falling_back": "yes"}, Relation(reply_to="$up", in_reply_to="$up", thread="$root")),
        ({"rel_type": "m.replace", "event_id": "$old", **REPLY}, Relation(replaces="$old")),
        ({"rel_type": "m.annotation", "event_id": "$a", "key": "👍"}, Relation(reacts_to="$a", reaction="👍")),
        ({"rel_type": "m.annotation", "event_id": "$a", "key": 5}, Relation(reacts_to="$a")),
        ({"rel_type": "m.reference", "event_id": "$a"}, Relation()),
        ({"rel_type": ["m.thread"], "event_id": "$a"}, Relation()),
        ({"rel_type": "m.thread", "event_id": {"$": "a"}}, Relation()),
        ({"rel_type": "m.thread", "event_id": "no id"}, Relation()),
        ({"m.in_reply_to": "$up"}, Relation()),
        ({"m.in_reply_to": {"event_id": ["$up"]}}, Relation()),
        ("$up", Relation()),
    ],
)
def test_how_an_event_relates_to_others(relates_to: object, expected: Relation) -> None:
    assert relation_of({"m.relates_to": relates_to}) == expected


@pytest.mark.parametrize(
    ("mentions", "expected"),
    [
        ({}, frozenset()),
        ({"user_ids": ["@a:x", 5, None, "@b:x"]}, frozenset({"@a:x", "@b:x"})),
        ({"user_ids": "@a:x"}, frozenset()),
        ({"room": True}, frozenset()),
        ([], None),
        (None, None),
    ],
)
def test_whom_a_message_means_to_mention(mentions: object, expected: frozenset[str] | None) -> None:
    assert mentioned_users({"m.mentions": mentions}) == expected


@pytest.mark.parametrize("value", ["", "event", "$a b", "$a\n", "$\ud800", "$" + "a" * 255, 5, None, ["$a"]])
def test_what_cannot_be_an_events_id_is_none(value: object) -> None:
    assert as_event_id(value) == ""


def test_half_characters_never_leave() -> None:
    assert get_text({"body": "a\ud83d\ude00b\ud800c"}, "body") == "a😀b�c"


def edit(new: object, sender: str = "@ana:x", target: str = "$e", kind: str = "m.room.message") -> ParsedMessage:
    relates = {"rel_type": "m.replace", "event_id": target}
    content = {"body": "* new", "m.new_content": new, "m.relates_to": relates}
    return parse_message(Event("!r:x", "$later", sender, kind, content))


def test_an_edit_changes_the_text_and_keeps_the_relation() -> None:
    original = event({"msgtype": "m.text", "body": "old", "m.relates_to": REPLY})
    new = {"msgtype": "m.text", "body": "new", "m.relates_to": THREAD}
    read = apply_edit(parse_message(original), edit(new))
    assert read is not None
    assert read.event_id == "$e"
    assert read.event.content == {"msgtype": "m.text", "body": "new", "m.relates_to": REPLY}
    assert (read.text, read.relation.reply_to) == ("new", "$up")


@pytest.mark.parametrize(
    "wrong", [edit({"body": "x"}, sender="@eve:x"), edit({"body": "x"}, target="$f"), edit("x"), edit({})]
)
def test_an_edit_by_another_of_another_or_of_nothing_is_none(wrong: ParsedMessage) -> None:
    assert apply_edit(parse_message(event({"body": "old"})), wrong) is None


def test_a_plain_edit_of_an_encrypted_message_changes_nothing() -> None:
    original = parse_message(event({"msgtype": "m.text", "body": "old"}, encrypted=True))
    plain = edit({"msgtype": "m.text", "body": "forged"})
    assert apply_edit(original, plain) is None
    assert apply_edit(original, parse_message(replace(plain.event, encrypted=True))) is not None


def test_what_was_redacted_stays_redacted() -> None:
    assert apply_edit(parse_message(event({})), edit({"msgtype": "m.text", "body": "new"})) is None


def test_what_a_redaction_takes_back_stands_in_either_place() -> None:
    assert redaction_target(event({}, redacts="$gone")) == "$gone"
    assert redaction_target(event({"redacts": "$gone"})) == "$gone"
    assert redaction_target(event({"redacts": {"a": 1}})) == ""


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.text("$@:.x<>/\\\ud800", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "msgtype": st.sampled_from(["m.text", "m.file", "m.image", "m.notice"]) | VALUES,
        "body": VALUES,
        "format": st.just("org.matrix.custom.html"),
        "formatted_body": VALUES,
        "filename": VALUES,
        "url": VALUES,
        "info": VALUES | st.dictionaries(st.sampled_from(["size", "mimetype"]), VALUES),
        "file": VALUES | st.dictionaries(st.sampled_from(["url", "key", "iv", "hashes"]), VALUES),
        "m.mentions": VALUES | st.dictionaries(st.sampled_from(["user_ids", "room"]), VALUES),
        "m.new_content": VALUES,
        "m.relates_to": VALUES
        | st.dictionaries(
            st.sampled_from(["rel_type", "event_id", "key", "m.in_reply_to", "is_falling_back"]),
            VALUES | st.sampled_from(["m.replace", "m.thread", "m.annotation"]),
        ),
    },
)


@given(KNOWN | st.dictionaries(st.text(max_size=12), VALUES), VALUES, st.integers())
def test_nothing_that_stands_in_a_content_raises_or_cannot_be_written_down(
    content: dict[str, Any], redacts: Any, sent_ms: int
) -> None:
    us, said = BotIdentity("@hearth:x", "Hearth"), parse_message(event(content, sent_ms=sent_ms))
    place = RoomContext(Room("!r:x", display_names={"@ana:x": "Ana"}), us, MatrixSettings(), "!")
    message = build_message(said, place, QuestionContext())
    typed = said.typed
    found = [
        relation_of(content),
        mentioned_users(content),
        said.pills,
        said.file,
        said.caption,
        message,
    ]
    found += [
        typed,
        to_plain_text(said, typed, us, lambda _: ""),
        message_facts(said, place),
        redaction_target(event({"redacts": redacts})),
    ]
    json.dumps([message.text, message.conversation, dict(message.platform_data)], ensure_ascii=False).encode()
    if (file := said.file) is not None:
        f"{file.name} {file.media_type} {file.uri}".encode()
    assert isinstance(mentions_bot(said, typed, us), bool)
    assert isinstance(said.is_bare_file, bool)
    apply_edit(said, said)

"""A message of Matrix as the core takes it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from adapters.matrix.events import Event, Room
from adapters.matrix.incoming.context import QuestionContext
from adapters.matrix.incoming.parsed_message import parse_message
from adapters.matrix.incoming.translate import (
    RoomContext,
    bot_identity,
    build_message,
    is_admin,
    message_facts,
)
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Message

HEARTH, ANA, EVE, ROOM = "@hearth:home.example", "@ana:home.example", "@eve:far.example", "!kitchen:home.example"
KITCHEN = Room(ROOM, member_count=5, display_names={ANA: "Ana", HEARTH: "Hearth"})
DIRECT = Room(ROOM, member_count=2, members_complete=True, join_rule="invite", display_names={ANA: "Ana"})
THREAD = {"m.relates_to": {"rel_type": "m.thread", "event_id": "$root"}}


def event(body: str = "Hearth: where?", sender: str = ANA, **content: Any) -> Event:
    return Event(ROOM, "$asked", sender, "m.room.message", {"msgtype": "m.text", "body": body, **content}, 1_500)


def place(room: Room = KITCHEN, **settings: Any) -> RoomContext:
    return RoomContext(room, bot_identity(room, HEARTH), MatrixSettings.model_validate(settings), "!")


def asked(said: Event, where: RoomContext, **more: Any) -> Message:
    return build_message(parse_message(said), where, QuestionContext(), **more)


def test_a_question_in_a_room() -> None:
    message = asked(event(), place())
    assert (message.conversation, message.event_id, message.text) == (f"matrix:{ROOM}", "$asked", "where?")
    assert (message.author.id, message.author.name, message.author.is_admin) == (f"matrix:{ANA}", "Ana", False)
    assert message.audience.names == {f"matrix:{ROOM}"}
    assert not message.audience.private
    assert message.sent_at == 1.5
    assert message.platform_data == {"room": ROOM, "question": "$asked", "author": ANA}


def test_only_in_a_direct_chat_that_nobody_else_can_read_is_an_answer_private() -> None:
    private = asked(event(), place(DIRECT)).audience
    assert private.private
    assert private.names == {f"matrix:{ROOM}", f"matrix:user:{ANA}", "matrix:server:home.example"}
    assert asked(event(), place(replace(DIRECT, join_rule="knock"))).audience.private
    for room in (
        KITCHEN,
        replace(DIRECT, member_count=None),
        replace(DIRECT, member_count=1),
        replace(DIRECT, member_count=3),
        replace(DIRECT, world_readable=True),
        replace(DIRECT, members_complete=False),
        *(replace(DIRECT, join_rule=rule) for rule in ("public", "restricted", "knock_restricted", "private", "")),
    ):
        assert asked(event(), place(room)).audience.names == {f"matrix:{ROOM}"}
        assert not asked(event(), place(room)).audience.private


def test_a_thread_is_a_conversation_of_its_own() -> None:
    message = asked(event(**THREAD), place(answer_in_thread=True))
    assert message.conversation == f"matrix:{ROOM}#$root"
    assert message.platform_data["thread"] == "$root"


@pytest.mark.parametrize(
    ("body", "room", "opens"),
    [
        ("Hearth: where?", KITCHEN, True),
        ("!ask where?", KITCHEN, True),
        ("!ASK where?", KITCHEN, True),
        ("!stop", KITCHEN, False),
        ("Hearth: !sources", KITCHEN, False),
        ("where?", DIRECT, False),
    ],
)
def test_a_question_opens_a_thread_where_the_admin_wants_that(body: str, room: Room, opens: bool) -> None:
    message = asked(event(body), place(room, answer_in_thread=True))
    assert message.platform_data.get("thread", "") == ("$asked" if opens else "")
    assert message.conversation == (f"matrix:{ROOM}#$asked" if opens else f"matrix:{ROOM}")


def test_commands_reach_the_core_as_they_were_written() -> None:
    assert asked(event("Hearth: stats"), place()).text == "stats"
    assert asked(event("!forget conversation"), place()).text == "!forget conversation"
    assert message_facts(parse_message(event("\u200b!stats")), place()).has_prefix
    assert not message_facts(parse_message(event("stats!")), place()).has_prefix
    assert not message_facts(
        parse_message(event("x")), RoomContext(KITCHEN, bot_identity(KITCHEN, HEARTH), MatrixSettings(), "")
    ).has_prefix


@pytest.mark.parametrize(
    ("user", "room", "settings", "admin"),
    [
        (ANA, KITCHEN, {"admin_users": [ANA]}, True),
        (EVE, KITCHEN, {"admin_users": [ANA]}, False),
        (ANA, Room(ROOM, power_levels={ANA: 100}), {"admin_rooms": [ROOM]}, True),
        (ANA, Room(ROOM, power_levels={ANA: 99}), {"admin_rooms": [ROOM]}, False),
        (ANA, Room(ROOM, power_levels={ANA: 50}), {"admin_rooms": [ROOM], "admin_power": 50}, True),
        (EVE, Room(ROOM, power_levels={EVE: 100}), {}, False),
        (EVE, Room(ROOM, power_levels={EVE: 100}), {"admin_rooms": ["!other:home.example"]}, False),
        (EVE, Room(ROOM, power_levels={ANA: 100}), {"admin_rooms": [ROOM]}, False),
    ],
)
def test_power_makes_an_admin_only_in_rooms_that_the_admin_named(
    user: str, room: Room, settings: Mapping[str, Any], admin: bool
) -> None:
    assert is_admin(MatrixSettings.model_validate(settings), room, user) is admin
    assert asked(event(sender=user), place(room, **settings)).author.is_admin is admin


def test_asked_again_it_is_the_question_of_who_points_at_it() -> None:
    message = asked(event(), place(DIRECT, admin_users=[EVE]), asker=EVE, thread="$t")
    assert (message.author.id, message.author.is_admin) == (f"matrix:{EVE}", True)
    assert f"matrix:user:{EVE}" in message.audience.names
    assert message.platform_data == {"room": ROOM, "question": "$asked", "author": EVE, "thread": "$t"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"msgtype": "m.text", "body": "hi"}, True),
        ({"msgtype": "m.emote", "body": "wonders"}, True),
        ({"msgtype": "m.file", "body": "a.pdf"}, True),
        ({"msgtype": "m.notice", "body": "hi"}, False),
        ({"msgtype": "m.server_notice", "body": "hi"}, False),
        ({"msgtype": "m.location", "body": "here"}, False),
        ({"msgtype": "m.key.verification.request", "body": "hi"}, False),
        ({"msgtype": "m.text", "body": " \u200b\n"}, False),
        ({"msgtype": "m.text"}, False),
        ({"msgtype": ["m.text"], "body": "hi"}, False),
        ({"body": "hi"}, False),
        ({}, False),
        ({"msgtype": "m.text", "body": "hi", "m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}}, False),
    ],
)
def test_what_people_say(content: dict[str, Any], said: bool) -> None:
    assert (
        message_facts(parse_message(Event(ROOM, "$e", ANA, "m.room.message", content)), place()).is_user_message is said
    )


def test_state_and_other_kinds_are_not_said() -> None:
    content = {"msgtype": "m.text", "body": "hi"}
    assert not message_facts(
        parse_message(Event(ROOM, "$e", ANA, "m.room.message", content, state_key="")), place()
    ).is_user_message
    assert not message_facts(parse_message(Event(ROOM, "$e", ANA, "m.sticker", content)), place()).is_user_message


def test_what_people_write_on_the_other_side_of_a_bridge_is_theirs_and_we_are_known() -> None:
    puppet = message_facts(parse_message(event(**{"fi.mau.double_puppet_source": "mautrix-discord"})), place())
    assert puppet == message_facts(parse_message(event()), place())
    assert message_facts(parse_message(event(sender=HEARTH)), place()).is_own


@pytest.mark.parametrize("rule", ["public", "restricted", ""])
def test_a_room_of_two_that_others_may_join_is_no_direct_chat(rule: str) -> None:
    assert message_facts(parse_message(event("where?")), place(DIRECT)).is_addressed
    assert not message_facts(parse_message(event("where?")), place(replace(DIRECT, join_rule=rule))).is_addressed


@pytest.mark.parametrize(
    ("room", "message", "expected"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_what_came_plain_into_an_encrypted_room_is_known(room: bool, message: bool, expected: bool) -> None:
    said = parse_message(replace(event(), encrypted=message))
    assert message_facts(said, place(replace(KITCHEN, encrypted=room))).is_unencrypted is expected


@pytest.mark.parametrize(("power", "muted"), [(0, False), (50, False), (51, True)])
def test_who_has_no_power_to_write_is_muted(power: int, muted: bool) -> None:
    room = replace(KITCHEN, power_levels={HEARTH: 50}, writing_power=power)
    assert message_facts(parse_message(event()), place(room)).is_muted is muted


def test_of_a_file_the_caption_is_said() -> None:
    named = {"msgtype": "m.file", "filename": "a.pdf", "url": "mxc://x/y"}
    assert (
        parse_message(Event(ROOM, "$e", ANA, "m.room.message", {**named, "body": "Hearth: what is this?"})).text
        == "Hearth: what is this?"
    )
    assert parse_message(Event(ROOM, "$e", ANA, "m.room.message", {**named, "body": "a.pdf"})).text == ""
    assert (
        parse_message(Event(ROOM, "$e", ANA, "m.room.message", {"msgtype": "m.file", "body": "!stats.pdf"})).text == ""
    )


@pytest.mark.parametrize("sent_ms", [-1, 10**400])
def test_a_time_that_is_none_counts_as_never(sent_ms: int) -> None:
    assert asked(Event(ROOM, "$e", ANA, "m.room.message", {}, sent_ms), place()).sent_at == 0

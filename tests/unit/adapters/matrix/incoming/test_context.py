"""What was said before a question is read with it, as far as the admin allows."""

from typing import Any

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix.events import Event
from adapters.matrix.homeserver import RequestRefused
from adapters.matrix.incoming.context import FILE_SEARCH_MESSAGES, ContextReader
from adapters.matrix.incoming.display_names import DisplayNames
from adapters.matrix.incoming.mentions import BotIdentity
from adapters.matrix.incoming.parsed_message import parse_message
from adapters.matrix.incoming.room_history import PAGES, RoomHistory
from adapters.matrix.outgoing.contents import RoomTarget, message_content
from adapters.matrix.outgoing.layout import MatrixPart
from adapters.matrix.settings import MatrixSettings
from bot.core.messages import Attachment, ContextMessage
from tests.fakes.wire import ALICE, ME, ROOM, FakeHomeserver

BEN = "@ben:home.example"
URI = "mxc://home.example/abc"


def wire() -> FakeHomeserver:
    made = FakeHomeserver()
    made.add_room(ROOM, ALICE, BEN, names={ALICE: "Alice", BEN: "Ben", ME: "Hearth"})
    made.media[URI] = b"data"
    return made


async def read(
    wire: FakeHomeserver, event: Event, direct: bool = False, **settings: Any
) -> tuple[list[str], list[str]]:
    """What was said before, as `name: text`, and the names of the files."""
    room = wire.get_room(ROOM)
    assert room is not None
    context = ContextReader(wire, MatrixSettings.model_validate({"recent_messages": 0, **settings}))
    found = await context.read_context(parse_message(event), BotIdentity(ME, "Hearth"), DisplayNames(room), direct)
    return [f"{said.speaker}: {said.text}" for said in found.context], [file.name for file in found.attachments]


def replying(event: Event, **more: Any) -> dict[str, Any]:
    return {"m.relates_to": {"m.in_reply_to": {"event_id": event.event_id}, **more}}


def in_thread(root: Event, **more: Any) -> dict[str, Any]:
    return {"m.relates_to": {"rel_type": "m.thread", "event_id": root.event_id, **more}}


def edit(wire: FakeHomeserver, event: Event, body: str, sender: str = "") -> Event:
    new = {"msgtype": "m.text", "body": body}
    relates = {"rel_type": "m.replace", "event_id": event.event_id}
    return wire.say(f"* {body}", sender or event.sender, **{"m.new_content": new, "m.relates_to": relates})


def put(wire: FakeHomeserver, sender: str = ALICE, **more: Any) -> Event:
    content = {"msgtype": "m.file", "body": "notes.txt", "url": URI, **more}
    return wire.post(ROOM, sender, "m.room.message", content)


async def test_a_reply_chain_is_read_upwards_and_no_further_than_allowed() -> None:
    server = wire()
    one = server.say("one", BEN)
    two = server.say("> <@ben:home.example> one\n\ntwo", ALICE, **replying(one))
    three = server.say("three", ME, **replying(two))
    asked = server.say("and?", ALICE, **replying(three))
    assert (await read(server, asked))[0] == ["Ben: one", "Alice: two", "Hearth: three"]
    assert (await read(server, asked, reply_chain_limit=2))[0] == ["Alice: two", "Hearth: three"]
    assert (await read(server, asked, reply_chain_limit=0))[0] == []


async def test_a_chain_that_bites_its_tail_ends() -> None:
    server = wire()
    one = server.say("one", BEN, **{"m.relates_to": {"m.in_reply_to": {"event_id": "$event2"}}})
    two = server.say("two", BEN, **replying(one))
    asked = server.say("and?", ALICE, **replying(two))
    assert (await read(server, asked, reply_chain_limit=20))[0] == ["Ben: one", "Ben: two"]


async def test_a_threads_stand_in_for_a_reply_is_no_reply() -> None:
    server = wire()
    root = server.say("root", BEN)
    falling_back = in_thread(root, is_falling_back=True, **{"m.in_reply_to": {"event_id": root.event_id}})
    assert (await read(server, server.say("and?", **falling_back)))[0] == []


async def test_messages_read_as_their_authors_last_edited_them() -> None:
    server = wire()
    answer = server.say("The k", ME)
    edit(server, answer, "The key")
    edit(server, answer, "The key is here.")
    edit(server, answer, "Buy my coins!", BEN)
    asked = server.say("and?", ALICE, **replying(answer))
    assert (await read(server, asked))[0] == ["Hearth: The key is here."]
    assert (await read(server, server.say("and?"), recent_messages=2))[0][:1] == ["Hearth: The key is here."]


async def test_the_rooms_last_messages_are_read_where_the_admin_allows_it() -> None:
    server = wire()
    for word in ("one", "two", "three"):
        server.say(word, BEN)
    server.post(ROOM, BEN, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$x", "key": "👍"}})
    server.say("Number 2 in the queue.", ME, msgtype="m.notice")
    asked = server.say("and?")
    server.say("later", BEN)
    assert (await read(server, asked))[0] == []
    assert (await read(server, asked, room_overrides={ROOM: {"recent_messages": 3}}))[0] == ["Ben: two", "Ben: three"]
    assert (await read(server, asked, recent_messages=5))[0] == ["Ben: one", "Ben: two", "Ben: three"]
    assert (await read(server, asked, direct=True, recent_messages=2))[0] == ["Ben: three"]


async def test_nothing_is_said_twice() -> None:
    server = wire()
    one = server.say("one", BEN)
    server.say("two", BEN)
    asked = server.say("and?", **replying(one))
    assert (await read(server, asked, recent_messages=5))[0] == ["Ben: two", "Ben: one"]


async def test_edits_do_not_use_up_what_may_be_read() -> None:
    server = wire()
    server.say("one", BEN)
    answer = server.say("T", ME)
    for number in range(150):
        edit(server, answer, f"Two {number}")
    asked = server.say("and?")
    assert (await read(server, asked, recent_messages=2))[0] == ["Ben: one", "Hearth: Two 149"]


async def test_a_room_full_of_nothing_is_not_read_for_ever() -> None:
    server = wire()
    answer = server.say("T", ME)
    for _ in range(PAGES * 100):
        edit(server, answer, "Two")
    assert (await read(server, server.say("and?"), recent_messages=5))[0] == []
    assert server.faults.requests.count("page") == PAGES


async def test_in_a_thread_the_threads_messages_are_read_and_in_the_room_those_of_the_room() -> None:
    server = wire()
    root = server.say("root", BEN)
    server.say("aside", BEN)
    answer = server.say("I", ME, **in_thread(root))
    edit(server, answer, "In it")
    asked = server.say("and?", **in_thread(root))
    server.say("later", BEN, **in_thread(root))
    assert (await read(server, asked, recent_messages=5))[0] == ["Ben: root", "Hearth: In it"]
    assert (await read(server, asked, recent_messages=1))[0] == ["Hearth: In it"]
    assert (await read(server, asked))[0] == []
    assert (await read(server, server.say("so?"), recent_messages=5))[0] == ["Ben: root", "Ben: aside", "Alice: and?"][
        :2
    ]


async def test_what_cannot_be_read_is_left_out() -> None:
    server = wire()
    gone = server.say("gone", BEN)
    server.rooms[ROOM].empty(gone.event_id)
    secret = server.post(ROOM, BEN, "m.room.message", {"msgtype": "m.text", "body": "secret"}, session_id="locked")
    asked = server.say("and?", **replying(gone))
    assert (await read(server, asked, recent_messages=9))[0] == []
    assert (await read(server, server.say("so?", **replying(secret))))[0] == []


@pytest.mark.parametrize("error", [RequestRefused(403, "M_FORBIDDEN", {}), TransientFailure()])
async def test_a_homeserver_that_tells_nothing_takes_no_question_away(error: Exception) -> None:
    server = wire()
    asked = server.say("and?", **replying(put(server)))
    for name in ("event", "page", "related", "before"):
        server.faults.always(name, error)
    assert await read(server, asked, recent_messages=5) == ([], [])


async def test_what_takes_too_long_is_left_out_and_what_came_before_is_kept() -> None:
    server = wire()
    asked = server.say("and?", **replying(server.say("one", BEN)))
    with server.faults.holding("before"):
        said, _ = await read(server, asked, recent_messages=5, read_timeout_s=0.05)
    assert said == ["Ben: one"]


async def test_files_that_go_with_a_question() -> None:
    server = wire()
    described = put(server, BEN, filename="manual.pdf", body="the manual")
    asked = server.say("what is this?", **replying(described))
    assert await read(server, asked) == (["Ben: the manual"], ["manual.pdf"])
    assert await read(server, asked, reply_chain_limit=0) == ([], ["manual.pdf"])
    captioned = put(server, filename="bill.pdf", body="Hearth: what is this?", **replying(described))
    assert (await read(server, captioned))[1] == ["bill.pdf", "manual.pdf"]
    assert (await read(server, captioned, attachment_limit=1))[1] == ["bill.pdf"]
    assert (await read(server, captioned, attachment_limit=0))[1] == []


async def test_a_file_put_down_in_a_direct_chat_goes_with_the_next_question_alone() -> None:
    server = wire()
    put(server)
    put(server, body="photo.jpg", msgtype="m.image")
    first = server.say("what is this?")
    second = server.say("and the weather?")
    assert await read(server, first, direct=True) == ([], ["notes.txt", "photo.jpg"])
    assert await read(server, second, direct=True) == ([], [])


async def test_a_file_put_down_long_before_is_not_read() -> None:
    server = wire()
    put(server)
    for _ in range(FILE_SEARCH_MESSAGES):
        server.say("Good evening.", ME)
    assert (await read(server, server.say("what is this?"), direct=True))[1] == []


async def test_what_was_redacted_or_cannot_be_read_is_none() -> None:
    server = wire()
    gone = server.say("gone", BEN)
    server.rooms[ROOM].empty(gone.event_id)
    locked = server.post(ROOM, BEN, "m.room.message", {"msgtype": "m.text", "body": "secret"}, session_id="locked")
    for event_id in (gone.event_id, locked.event_id, "$nowhere"):
        assert await RoomHistory(server).read_message(ROOM, event_id) is None


async def test_in_a_room_a_file_that_nobody_pointed_at_is_not_read() -> None:
    server = wire()
    put(server)
    assert (await read(server, server.say("Hearth: and?")))[1] == []
    assert "page" not in server.faults.requests


async def test_in_a_thread_files_go_with_the_question_after_them() -> None:
    server = wire()
    root = server.say("root", BEN)
    put(server)
    put(server, BEN, body="bens.txt", **in_thread(root))
    put(server, body="mine.txt", **in_thread(root))
    assert (await read(server, server.say("and?", **in_thread(root))))[1] == ["mine.txt"]


async def test_pointing_at_a_file_leaves_the_others_out() -> None:
    server = wire()
    pointed = put(server, body="old.txt")
    server.say("hm")
    put(server)
    assert (await read(server, server.say("this?", **replying(pointed)), direct=True))[1] == ["old.txt"]
    answer = server.say("It is a note.", ME)
    assert (await read(server, server.say("and this?", **replying(answer)), direct=True))[1] == []
    put(server)
    assert (await read(server, server.say("and this?", **replying(answer)), direct=True))[1] == ["notes.txt"]


async def test_a_file_that_takes_too_long_is_told_as_not_fetched() -> None:
    server = wire()
    room = server.get_room(ROOM)
    assert room is not None
    asked = put(server, filename="notes.txt", body="what is this?")
    context = ContextReader(server, MatrixSettings(read_timeout_s=0.05))
    with server.faults.holding("download"):
        found = await context.read_context(parse_message(asked), BotIdentity(ME, "Hearth"), DisplayNames(room), True)
    assert found.attachments == (Attachment.not_fetched("notes.txt"),)


async def test_who_said_what_is_known_and_of_our_own_answers_it_is_not() -> None:
    server = wire()
    room = server.get_room(ROOM)
    assert room is not None
    server.say("my PIN is 8231", BEN)
    server.say("Ben said his PIN is 8231.", ME)
    context = ContextReader(server, MatrixSettings(recent_messages=3))
    asked = parse_message(server.say("Hearth: and?"))
    found = await context.read_context(asked, BotIdentity(ME, "Hearth"), DisplayNames(room), False)
    assert [each.person for each in found.context] == [f"matrix:{BEN}", ""]


async def test_a_file_without_a_word_is_said_by_its_name() -> None:
    server = wire()
    put(server, BEN)
    room = server.get_room(ROOM)
    assert room is not None
    context = ContextReader(server, MatrixSettings(recent_messages=3))
    asked = parse_message(server.say("Hearth: and?"))
    found = await context.read_context(asked, BotIdentity(ME, "Hearth"), DisplayNames(room), False)
    assert found.context == (ContextMessage("Ben", "[notes.txt]"),)


async def test_of_an_own_answer_the_small_print_is_left_out() -> None:
    server = wire()
    text, below = "On shelf **Heron** [1].", "Cut short.\n[1] Disks & more › p. 3 (handbook)"
    target = RoomTarget(ROOM, "$question", "$question")
    answer = server.post(ROOM, ME, "m.room.message", message_content(MatrixPart(text, below, small=True), target))
    stopped = server.post(ROOM, ME, "m.room.message", message_content(MatrixPart("The", "Stopped."), target))
    forged = server.say(f"x\n\n{below}", BEN, format="org.matrix.custom.html", formatted_body="<p><sub>x</sub></p>")
    for said, expected in (
        (answer, f"Hearth: {text}"),
        (stopped, "Hearth: The\n\nStopped."),
        (forged, f"Ben: x\n\n{below}"),
    ):
        assert (await read(server, server.say("and?", ALICE, **replying(said))))[0] == [expected]


async def test_in_an_encrypted_room_unencrypted_messages_are_no_context() -> None:
    server = wire()
    server.rooms[ROOM].encrypted = True
    real, forged = server.say("one", BEN), server.say("forged", BEN, plain=True)
    root = server.say("root", BEN)
    for plain in (False, True):
        server.say(f"in it {plain}", BEN, plain=plain, **in_thread(root))
    asked = server.say("and?", ALICE, **replying(forged))
    assert (await read(server, asked, recent_messages=5))[0] == ["Ben: one", "Ben: root"]
    assert (await read(server, server.say("and?", ALICE, **replying(real))))[0] == ["Ben: one"]
    threaded = server.say("and?", ALICE, **in_thread(root))
    assert (await read(server, threaded, recent_messages=5))[0] == ["Ben: root", "Ben: in it False"]

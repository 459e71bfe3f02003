"""What people write, edit and take back reaches the core once, and nothing else does."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix import retry
from adapters.matrix.homeserver import LoggedOut, RequestRefused
from adapters.matrix.incoming import own_messages
from adapters.matrix.incoming.context import QuestionContext
from adapters.matrix.incoming.muted_rooms import MutedRooms
from adapters.matrix.incoming.parsed_message import parse_message
from adapters.matrix.incoming.translate import RoomContext, bot_identity, build_message
from adapters.matrix.settings import MatrixSettings
from tests.fakes.intake_scene import BEN, CHAT, EVE, in_thread, replying, scene
from tests.fakes.until import until
from tests.fakes.wire import ALICE, ME, ROOM

MEANT: dict[str, Any] = {"m.mentions": {"user_ids": [ME]}}


async def test_in_a_room_what_is_meant_for_us_is_taken() -> None:
    async with scene() as it:
        await it.hear("nice weather")
        await it.hear("Hearth: by name?")
        await it.hear("by mention?", **MEANT)
        await it.hear("Hearth is mentioned, but not meant", **{"m.mentions": {}})
        await it.hear("Hearth: a notice", msgtype="m.notice")
        await it.hear("!stats")
        assert it.taken == ["by name?", "by mention?", "!stats"]
        assert [message.addressed for message in it.inbox.handled] == [True, True, False]


async def test_in_a_direct_chat_everything_is_meant_for_us_but_what_we_say() -> None:
    async with scene() as it:
        await it.hear("where is the key?", room_id=CHAT)
        await it.hear("It is here.", ME, CHAT)
        assert it.taken == ["where is the key?"]
        assert it.inbox.handled[0].audience.private


async def test_a_reply_to_us_is_taken_and_one_to_others_is_not() -> None:
    async with scene() as it:
        ours, bens = it.wire.say("The key is here.", ME), it.wire.say("Which key?", BEN)
        await it.hear("where?", **replying(ours))
        await it.hear("that one", **replying(bens))
        assert it.taken == ["where?"]
        assert [said.text for said in it.inbox.handled[0].context] == ["The key is here."]


async def test_what_came_by_is_not_asked_for() -> None:
    async with scene(reply_chain_limit=0) as it:
        bens = await it.hear("Which key?", BEN)
        it.wire.faults.requests.clear()
        await it.hear("that one", **replying(bens))
        assert it.wire.faults.requests == []


async def test_for_who_is_not_answered_anyway_nothing_is_asked() -> None:
    async with scene(users={"block": [EVE]}) as it:
        ours = it.wire.say("The key is here.", ME)
        await it.hear("where?", EVE, **replying(ours))
        assert it.wire.faults.requests == []
        assert it.taken == []


async def test_a_thread_that_we_opened_were_mentioned_in_or_wrote_in_is_ours() -> None:
    async with scene() as it:
        opened, mentioned = it.wire.say("A page.", ME), it.wire.say("Hearth: and?", BEN)
        written, others, later = (it.wire.say(word, BEN) for word in ("written", "others", "later"))
        it.wire.say("I was here.", ME, **in_thread(written))
        for root in (opened, mentioned, written, others):
            await it.hear(f"in {root.event_id}", BEN, **in_thread(root))
        assert it.taken == [f"in {root.event_id}" for root in (opened, mentioned, written)]
        await it.hear("Hearth: hello", BEN, **in_thread(later))
        await it.hear("and more", **in_thread(later))
        assert it.taken[3:] == ["hello", "and more"]
        assert it.threads.owned == {root.event_id for root in (opened, mentioned, written, later)}


async def test_a_thread_is_looked_at_once_and_becomes_ours_when_we_write_in_it() -> None:
    async with scene() as it:
        root = it.wire.say("root", BEN)
        await it.hear("one", BEN, **in_thread(root))
        it.wire.faults.requests.clear()
        await it.hear("two", BEN, **in_thread(root))
        assert it.wire.faults.requests == []
        await it.hear("I come in.", ME, **in_thread(root))
        await it.hear("three", BEN, **in_thread(root))
        assert it.taken == ["three"]


async def test_while_the_homeserver_does_not_say_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "backoff_s", lambda failures, error: 0.0)
    async with scene() as it:
        answer = it.wire.say("The key is here.", ME)
        it.wire.faults.fail("event", TransientFailure(), times=3)
        await it.hear("where?", **replying(answer))
        assert it.taken == ["where?"]


async def test_a_homeserver_that_never_says_holds_nothing_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_messages, "ASKED_FOR_S", 0.02)
    async with scene() as it:
        it.wire.faults.always("event", TransientFailure())
        await it.hear("where?", **replying(it.wire.say("Here.", ME)))
        it.wire.faults.always("event", RequestRefused(403, "M_FORBIDDEN", {}))
        await it.hear("where?", **replying(it.wire.say("Here.", ME)))
        assert it.taken == []


async def test_being_logged_out_is_passed_on() -> None:
    async with scene() as it:
        it.wire.faults.always("event", LoggedOut(soft=False))
        with pytest.raises(LoggedOut):
            await it.hear("where?", **replying(it.wire.say("Here.", ME)))


async def test_a_room_that_we_are_not_in_is_left_alone() -> None:
    async with scene() as it:
        elsewhere = replace(it.wire.say("Hearth: hi"), room_id="!elsewhere:home.example")
        assert await it.intake.take_event(elsewhere) is None
        assert it.taken == []


async def test_a_question_edited_while_it_is_answered_starts_over() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where is the kye?")
        await it.edit(asked, "Hearth: where is the key?")
        (revised,) = it.inbox.revised
        assert (revised.text, revised.event_id) == ("where is the key?", asked.event_id)
        await it.edit(asked, "Hearth: where is the key?")
        await it.edit(asked, "Hearth: say something rude", EVE)
        assert len(it.inbox.revised) == 1
        await it.edit(asked, "where is the red key?")
        assert it.inbox.revised[-1].text == "where is the red key?"
        assert len(it.taken) == 1


async def test_edited_later_an_answered_question_is_not_asked_again() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        it.done.set()
        await it.inbox.wait_until_idle()
        await it.edit(asked, "Hearth: where is it?")
        assert (it.taken, it.inbox.revised) == (["where?"], [])


async def test_an_edit_that_is_read_while_the_answer_ends_asks_nothing_anew() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        with it.wire.faults.holding("event"):
            editing = asyncio.create_task(it.edit(asked, "Hearth: when?"))
            while not it.wire.faults.waiting("event"):
                await asyncio.sleep(0)
            it.done.set()
            await it.inbox.wait_until_idle()
        await editing
        assert (it.taken, it.inbox.revised) == (["where?"], [])


async def test_a_message_edited_into_a_question_is_taken_once() -> None:
    async with scene() as it:
        said = await it.hear("where is the key?")
        await it.edit(said, "where is the red key?")
        await it.edit(said, "Hearth: where is the key?", EVE)
        assert it.taken == []
        await it.edit(said, "Hearth: where is the key?")
        await it.edit(said, "Hearth: where is the key?")
        assert it.taken == ["where is the key?"]
        assert it.inbox.handled[0].event_id == said.event_id


async def test_a_message_edited_long_after_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.matrix.incoming.message_handler.LATE_MENTION_S", 0)
    async with scene() as it:
        said = await it.hear("where is the key?")
        await it.edit(said, "Hearth: where is the key?")
        await it.edit(it.wire.say("before we came"), "Hearth: where?")
        assert it.taken == []


async def test_our_own_edits_cost_nothing() -> None:
    async with scene() as it:
        answer = await it.hear("The", ME)
        it.wire.faults.requests.clear()
        await it.edit(answer, "The key")
        assert it.wire.faults.requests == []


async def test_a_question_taken_back_is_withdrawn() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        await it.hear("Hearth: when?", BEN)
        await it.redact(asked)
        await it.redact(it.wire.say("something else"))
        assert it.inbox.withdrawn == [(f"matrix:{ROOM}", asked.event_id)]


async def test_in_a_room_that_we_are_put_out_of_answers_end() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        await it.hear("where?", room_id=CHAT)
        await it.intake.leave_room(ROOM)
        assert it.inbox.withdrawn == [(f"matrix:{ROOM}", asked.event_id)]


async def test_what_an_earlier_process_left_is_followed() -> None:
    async with scene() as it:
        asked = it.wire.say("Hearth: where?")
        room = it.wire.get_room(ROOM)
        assert room is not None
        context = RoomContext(room, bot_identity(room, ME), MatrixSettings(), "!")
        message = build_message(parse_message(asked), context, QuestionContext())
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        it.intake.questions.track(message, ended)
        await it.edit(asked, "Hearth: when?")
        assert [revised.text for revised in it.inbox.revised] == ["when?"]
        ended.set_result(None)
        await asyncio.sleep(0)
        await it.redact(asked)
        assert it.inbox.withdrawn == []


async def test_a_bare_file_waits_for_its_question() -> None:
    async with scene() as it:
        it.wire.media["mxc://home.example/abc"] = b"data"
        file = {"msgtype": "m.file", "url": "mxc://home.example/abc"}
        await it.hear("notes.txt", room_id=CHAT, **file)
        assert it.taken == []
        await it.hear("what does it say?", room_id=CHAT)
        assert [attached.name for attached in it.inbox.handled[0].attachments] == ["notes.txt"]
        await it.hear("what is this?", room_id=CHAT, **file, filename="bill.txt")
        assert it.taken == ["what does it say?", "what is this?"]
        assert [attached.name for attached in it.inbox.handled[1].attachments] == ["bill.txt"]


async def test_with_a_command_nothing_is_read() -> None:
    async with scene(recent_messages=5) as it:
        await it.hear("!stop")
        await it.hear("!play a song")
        assert it.wire.faults.requests == []
        await it.hear("!ask where is the key?")
        assert "page" in it.wire.faults.requests
        assert it.inbox.handled[-1].context


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"body": "Hearth"},
        {"msgtype": "m.text", "body": ["Hearth"]},
        {"msgtype": "m.text", "body": "hi", "m.relates_to": "$x"},
        {"msgtype": "m.text", "body": "hi", "m.relates_to": {"m.in_reply_to": {"event_id": "$nowhere"}}},
        {"msgtype": "m.text", "body": "hi", "m.relates_to": {"rel_type": "m.thread", "event_id": "$nowhere"}},
        {"msgtype": "m.text", "body": "hi", "m.relates_to": {"rel_type": "m.replace", "event_id": "$nowhere"}},
        {"msgtype": "m.text", "body": "hi", "m.new_content": 5, "m.relates_to": {"rel_type": "m.replace"}},
        {"msgtype": "m.text", "body": "\ud800", "m.mentions": {"user_ids": {ME: 1}}},
        {"redacts": ["$x"]},
        {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$nowhere", "key": "🛑"}},
        {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$nowhere", "key": {"🛑": 1}}},
    ],
)
@pytest.mark.parametrize("kind", ["m.room.message", "m.reaction", "m.room.redaction", "m.room.member", "org.odd"])
async def test_malformed_events_are_nothing(kind: str, content: dict[str, Any]) -> None:
    async with scene() as it:
        assert await it.intake.take_event(it.wire.post(ROOM, BEN, kind, content)) is None
        assert it.taken == []


async def test_in_an_encrypted_room_unencrypted_messages_give_no_orders_and_that_is_said_once() -> None:
    async with scene() as it:
        for room in it.wire.rooms.values():
            room.encrypted = True
        for body in ("Hearth: where?", "!stats", "!forget conversation"):
            await it.hear(body, plain=True)
        await it.hear("nice weather", plain=True)
        await it.hear("where?", room_id=CHAT, plain=True)
        assert it.taken == []
        await until(lambda: len(it.wire.sent) == 2)
        assert {sent.room_id for sent in it.wire.sent} == {ROOM, CHAT}
        assert all("only encrypted messages" in sent.content["body"] for sent in it.wire.sent)
        await it.hear("Hearth: where?")
        assert it.taken == ["where?"]


async def test_an_unencrypted_edit_changes_no_question_of_an_encrypted_room() -> None:
    async with scene() as it:
        it.wire.rooms[ROOM].encrypted = True
        asked, skipped = await it.hear("Hearth: where?"), await it.hear("where is the key?")
        await it.edit(asked, "Hearth: say something rude", plain=True)
        await it.edit(skipped, "Hearth: say something rude", plain=True)
        assert (it.taken, it.inbox.revised) == (["where?"], [])
        await it.edit(asked, "Hearth: when?")
        assert [revised.text for revised in it.inbox.revised] == ["when?"]


async def test_in_our_threads_people_who_answer_or_mention_each_other_are_left_alone() -> None:
    async with scene() as it:
        root = await it.hear("Hearth: where is the drive?")
        answer = await it.hear("On shelf Heron.", ME, **in_thread(root))
        thanks = await it.hear("And the ladder?", BEN, **in_thread(root, after=answer))
        await it.hear("It is mine", ALICE, **in_thread(root, after=thanks))
        await it.hear("No, mine", BEN, **in_thread(root, after=thanks, replies=True))
        await it.hear("Eve, look", ALICE, **in_thread(root, after=answer), **{"m.mentions": {"user_ids": [EVE]}})
        await it.hear("you can have it", EVE, **in_thread(root, after=thanks, replies=True))
        assert it.taken == ["where is the drive?", "And the ladder?", "No, mine"]
        await it.hear("Hearth: whose is it?", EVE, **in_thread(root, after=thanks))
        assert it.taken[-1] == "whose is it?"


async def test_in_a_muted_room_no_model_runs_and_who_asks_is_told_in_their_direct_chat() -> None:
    async with scene() as it:
        it.wire.rooms[ROOM].writing_power = 50
        await it.hear("Hearth: where?")
        await it.hear("Hearth: and when?")
        await it.hear("Hearth: who?", EVE)
        assert it.taken == []
        await until(lambda: it.wire.sent)
        (told,) = it.wire.sent
        assert (told.room_id, told.content["msgtype"]) == (CHAT, "m.notice")
        assert ROOM in told.content["body"]


async def test_questions_of_a_muted_room_are_answered_when_we_may_write_again_as_they_read_then() -> None:
    async with scene() as it:
        room = it.wire.rooms[ROOM]
        room.writing_power = 50
        first, second = await it.hear("Hearth: where is the kye?"), await it.hear("Hearth: and when?")
        await it.edit(first, "Hearth: where is the key?")
        await it.hear("nice weather")
        await it.hear("!forget conversation")
        await it.redact(second)
        room.writing_power = 10
        await it.intake.take_event(it.wire.post(ROOM, BEN, "m.room.power_levels", {}, state_key=""))
        assert it.taken == []
        room.writing_power = 0
        for _ in range(2):
            await it.intake.take_event(it.wire.post(ROOM, BEN, "m.room.power_levels", {}, state_key=""))
        assert it.taken == ["where is the key?"]


async def test_too_many_or_too_old_questions_of_a_muted_room_are_not_answered() -> None:
    now = 0.0
    rooms = MutedRooms(questions_kept=2, kept_s=10.0, clock=lambda: now)
    for number in range(3):
        rooms.hold(ROOM, f"${number}")
    rooms.hold(CHAT, "$3")
    assert rooms.release(ROOM) == ["$1", "$2"]
    assert rooms.release(ROOM) == []
    now = 10.0
    assert rooms.release(CHAT) == []

"""Questions in encrypted chats, rooms and threads, as a client that deals with cross-signed devices only sees them."""

import asyncio
from itertools import pairwise

import pytest

from deploy.dev.element import Peer
from deploy.dev.homeserver.client import WAIT_S
from tests.fakes.until import until
from tests.integration.matrix.home import END, SOURCE, Home, decryptions, pointed_at

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_answer_grows_in_one_message_whose_reader_is_told_at_once_that_it_comes(home: Home) -> None:
    chat, ana, bot = await home.direct(home.ana), home.ana, home.resident.user_id
    with home.held():
        question = await chat.say("Tell me at length where the drive is.")
        await ana.until(lambda: ana.receipts.get((chat.room, bot)) == question)
        await ana.until(lambda: bot in ana.typing.get(chat.room, ()))
    shown = await chat.answered(question)
    assert chat.answers() == [shown]
    assert 3 <= len(shown.bodies) <= 21
    assert all(later.startswith(earlier.rstrip()) for earlier, later in pairwise(shown.bodies))
    assert shown.body.endswith(f"{END}\n\n{SOURCE}")
    assert "<strong>drive</strong>" in shown.html
    assert shown.reply_to == question
    assert shown.mentions == {"user_ids": [ana.user_id]}
    await ana.until(lambda: bot not in ana.typing.get(chat.room, ()))
    assert {(each["failure"], each["shield"]) for each in decryptions(chat)} == {("", "none")}


async def test_how_the_events_of_an_answer_relate_is_told_outside_of_the_ciphertext_and_nothing_else(
    home: Home,
) -> None:
    chat = await home.direct(home.ana)
    question = await chat.say("Tell me at length where the drive is.")
    shown = await chat.answered(question)
    sent = [event for event in await home.ana.history(chat.room) if event["sender"] == home.resident.user_id]
    kinds = {event["type"] for event in sent}
    assert kinds == {"m.room.member", "m.room.encrypted"}
    contents = [event["content"] for event in sent if event["type"] == "m.room.encrypted"]
    clear = {"algorithm", "ciphertext", "device_id", "sender_key", "session_id", "m.relates_to"}
    assert {key for content in contents for key in content} <= clear
    first, *edits = (content["m.relates_to"] for content in contents if "m.relates_to" in content)
    assert first == {"m.in_reply_to": {"event_id": question}}
    assert edits
    assert all(edit == {"rel_type": "m.replace", "event_id": shown.event_id} for edit in edits)
    events = home.ana.timeline.events(chat.room, "m.room.message", home.resident.user_id)
    for edit in (event["content"] for event in events if "m.new_content" in event["content"]):
        assert edit["m.mentions"] == {}
        assert edit["m.new_content"]["m.mentions"] == shown.mentions
        assert edit["m.new_content"]["formatted_body"]


async def test_a_room_hears_hearth_where_it_is_mentioned_or_replied_to_and_who_comes_later_from_then_on(
    home: Home,
) -> None:
    chat, bot = await home.room(home.ana, home.ben), home.resident.user_id
    told = await chat.say("The ladder is back, by the way.")
    first = await chat.ask("Hearth: where is the drive?", mentions=[bot])
    assert first.body.startswith("You asked: ana: where is the drive?")
    bens = chat.seen_by(home.ben)
    assert (await bens.answered(first.reply_to)).body == first.body
    second = await bens.ask("Who put the drive there?", reply_to=first.event_id)
    assert second.mentions == {"user_ids": [home.ben.user_id]}
    eve = await home.come("eve")
    await home.ana.invite(chat.room, eve.user_id)
    await eve.join(chat.room)
    await home.ana.until(lambda: home.ana.members[chat.room].get(eve.user_id) == "join")
    third = await chat.ask("Hearth, where is the drive now?", mentions=[bot])
    assert (await chat.seen_by(eve).answered(third.reply_to)).body == third.body
    fourth = await chat.seen_by(eve).ask("Who else knows of the drive?", mentions=[bot])
    await bens.answered(fourth.reply_to)
    assert len(chat.answers()) == 4
    assert not chat.replies(told)
    assert {each["shield"] for each in decryptions(chat)} == {"none"}


async def test_a_thread_in_which_hearth_takes_part_goes_on_without_mentions_and_no_other_does(home: Home) -> None:
    chat, bot = await home.room(home.ana, home.ben), home.resident.user_id
    root, other = await chat.say("About the drive"), await chat.say("About the ladder")
    await chat.seen_by(home.ben).say("Nobody asked you.", thread=other)
    first = await chat.ask("Where is the drive?", mentions=[bot], thread=root)
    second = await chat.seen_by(home.ben).ask("Is the drive still there?", thread=root)
    assert len(chat.answers()) == 2
    for shown in (first, second):
        (sent,) = [event for event in await home.ana.history(chat.room) if event["event_id"] == shown.event_id]
        assert sent["content"]["m.relates_to"] == {
            "rel_type": "m.thread",
            "event_id": root,
            "is_falling_back": True,
            "m.in_reply_to": {"event_id": pointed_at(shown)},
        }


async def test_who_puts_hearth_out_is_answered_no_further_and_again_after_another_invitation(home: Home) -> None:
    chat, bot = await home.room(home.ana), home.resident.user_id
    with home.held() as engine:
        asked = len(engine.prompts)
        question = await chat.say("Where is the drive?", mentions=[bot])
        await until(lambda: len(engine.prompts) > asked, WAIT_S)
        await home.ana.kick(chat.room, bot)
        await chat.idle()
    await home.ana.invite(chat.room, bot)
    await home.ana.until(lambda: home.ana.members[chat.room].get(bot) == "join")
    await chat.ask("Where is the drive now?", mentions=[bot])
    assert all(END not in shown.body for shown in chat.replies(question))


async def test_a_question_that_is_edited_during_its_answer_is_answered_as_it_reads_now(home: Home) -> None:
    chat = await home.direct(home.ben)
    with home.held() as engine:
        asked = len(engine.prompts)
        question = await chat.say("Where is the old drive?")
        await chat.hears("You asked: Where is the old drive?", question)
        await home.ben.edit(chat.room, question, "Where is the drive?")
        await until(lambda: len(engine.prompts) == asked + 2, WAIT_S)
    shown = await chat.answered(question)
    assert shown.body.startswith("You asked: Where is the drive?")
    assert chat.answers() == [shown]


async def test_a_question_that_is_taken_back_during_its_answer_stops_it(home: Home) -> None:
    chat = await home.direct(home.ben)
    with home.held():
        question = await chat.say("Where is the drive?")
        await chat.hears("You asked", question)
        await home.ben.redact(chat.room, question)
        await chat.idle()
    after = await chat.ask("Where is the ladder?")
    assert [shown.event_id for shown in chat.answers() if END in shown.body] == [after.event_id]


async def test_two_who_ask_at_once_are_both_answered_in_the_order_in_which_the_room_has_their_questions(
    home: Home,
) -> None:
    chat = await home.room(home.ana, home.ben)
    people: list[Peer] = [home.ana, home.ben]

    async def ask(person: Peer, number: int) -> str:
        return await person.say(chat.room, f"Where is drive {number}?", mentions=[home.resident.user_id])

    asked = await asyncio.gather(*(ask(people[number % 2], number) for number in range(4)))
    for question in asked:
        await chat.answered(question)
    in_order = [event["event_id"] for event in await home.ana.history(chat.room) if event["event_id"] in asked]
    assert [pointed_at(shown) for shown in chat.answers()] == in_order
    said = {event["event_id"]: event["content"].get("body") for event in home.ana.timeline.events(chat.room)}
    for shown in chat.answers():
        assert str(said[pointed_at(shown)]) in shown.body

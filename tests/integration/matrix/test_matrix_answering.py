"""Questions on a real homeserver are answered where they were asked, and only those that are for Hearth."""

from collections.abc import Awaitable, Callable

import pytest

from bot.core.messages import ConversationId
from deploy.dev.homeserver import Person, Shown, SynapseServer
from deploy.dev.homeserver.client import WAIT_S
from tests.fakes.matrix_resident import MatrixInstance
from tests.fakes.until import until

Enter = Callable[..., Awaitable[Person]]
ANSWER = "The drive is there [1]."


def answers(person: Person, resident: MatrixInstance, room: str) -> list[Shown]:
    """What Hearth has answered in a room; not what it told as a notice."""
    return [shown for shown in person.timeline.shown(room, resident.user_id) if shown.kind == "m.text"]


async def answered(person: Person, resident: MatrixInstance, room: str, count: int = 1) -> list[Shown]:
    """Wait for so many whole answers in a room."""
    await person.until(lambda: [shown.body for shown in answers(person, resident, room)] == [ANSWER] * count)
    return answers(person, resident, room)


async def room_with(resident: MatrixInstance, *people: Person, name: str = "kitchen") -> str:
    """A room that the first of the people made, in which Hearth and all of them are."""
    room = await people[0].create_room(name, [resident.user_id, *(person.user_id for person in people[1:])])
    for person in people[1:]:
        await person.until(lambda person=person: room in person.invites)  # type: ignore[misc]
        await person.join(room)
    for person in people:
        await person.until(lambda person=person: person.members[room].get(resident.user_id) == "join")  # type: ignore[misc]
    return room


@pytest.fixture
async def house(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> tuple[MatrixInstance, Person, Person]:
    """Hearth at work, and two people."""
    await resident.start()
    return resident, await enter(homeserver, "ana"), await enter(homeserver, "ben")


async def test_a_direct_message_is_answered_also_one_that_was_written_before_hearth_came_in(
    house: tuple[MatrixInstance, Person, Person],
) -> None:
    resident, ana, _ = house
    room = await ana.direct(resident.user_id)
    question = await ana.say(room, "Where is the drive?")
    (answer,) = await answered(ana, resident, room)
    assert answer.reply_to == question
    assert answer.mentions == {"user_ids": [ana.user_id]}
    await ana.until(lambda: ana.receipts.get((room, resident.user_id)) == question)
    (welcome,) = [shown for shown in ana.timeline.shown(room, resident.user_id) if shown.kind == "m.notice"]
    assert "!help" in welcome.body
    assert welcome.mentions == {}


async def test_in_a_room_who_mentions_hearth_or_replies_to_it_is_answered_and_nobody_else(
    house: tuple[MatrixInstance, Person, Person],
) -> None:
    resident, ana, ben = house
    room = await room_with(resident, ana, ben)
    await ana.say(room, "Who took the drive?")
    await ben.say(room, "Not me.", kind="m.notice")
    await ana.say(room, "Hearth, where is the drive?", mentions=[resident.user_id])
    (first,) = await answered(ana, resident, room)
    await ben.say(room, "And the other one?", reply_to=first.event_id)
    _, second = await answered(ana, resident, room, 2)
    assert second.mentions == {"user_ids": [ben.user_id]}
    assert len(resident.engine.prompts) == 2


async def test_in_a_thread_in_which_it_was_mentioned_hearth_takes_part(
    house: tuple[MatrixInstance, Person, Person],
) -> None:
    resident, ana, ben = house
    room = await room_with(resident, ana, ben)
    root = await ana.say(room, "About the drive")
    await ana.say(room, "Where is it?", mentions=[resident.user_id], thread=root)
    (first,) = await answered(ana, resident, room)
    assert first.thread == root
    await ben.say(room, "And the other one?", thread=root)
    _, second = await answered(ana, resident, room, 2)
    assert second.thread == root
    await ben.say(room, "Elsewhere in the room.")
    await ana.say(room, "Last one?", thread=root)
    await answered(ana, resident, room, 3)
    conversation = ConversationId(f"matrix:{room}#{root}")
    assert len(await resident.core.history.past_turns(conversation)) == 6


async def test_a_question_that_is_taken_back_during_its_answer_is_answered_no_further(
    house: tuple[MatrixInstance, Person, Person],
) -> None:
    resident, ana, _ = house
    room = await ana.direct(resident.user_id)
    resident.engine.gate.clear()
    question = await ana.say(room, "Where is the drive?")
    await ana.shown(room, lambda shown: shown.sender == resident.user_id and shown.body.startswith("The drive"))
    await ana.redact(room, question)
    await resident.core.inbox.wait_until_idle()
    await ana.until(lambda: all(ANSWER not in shown.body for shown in answers(ana, resident, room)))
    resident.engine.gate.set()
    await ana.say(room, "Where is the other drive?")
    await ana.until(lambda: any(shown.body == ANSWER for shown in answers(ana, resident, room)))
    assert len(resident.engine.prompts) == 2


async def test_an_edited_question_is_answered_as_it_reads_now(house: tuple[MatrixInstance, Person, Person]) -> None:
    resident, ana, _ = house
    room = await ana.direct(resident.user_id)
    resident.engine.gate.clear()
    question = await ana.say(room, "Where is the drve?")
    await until(lambda: resident.engine.prompts, WAIT_S)
    await ana.edit(room, question, "Where is the drive?")
    await until(lambda: len(resident.engine.prompts) == 2, WAIT_S)
    resident.engine.gate.set()
    (answer,) = await answered(ana, resident, room)
    assert answer.reply_to == question


async def test_who_puts_hearth_out_of_a_room_gets_no_further_answer_and_may_invite_it_again(
    house: tuple[MatrixInstance, Person, Person],
) -> None:
    resident, ana, _ = house
    room = await room_with(resident, ana)
    resident.engine.gate.clear()
    await ana.say(room, "Where is the drive?")
    await until(lambda: resident.engine.prompts, WAIT_S)
    await ana.kick(room, resident.user_id)
    await resident.core.inbox.wait_until_idle()
    resident.engine.gate.set()
    await ana.invite(room, resident.user_id)
    await ana.until(lambda: ana.members[room].get(resident.user_id) == "join")
    await ana.say(room, "And now?")
    await ana.until(lambda: any(shown.body.startswith(ANSWER) for shown in answers(ana, resident, room)))


async def test_who_waited_in_the_queue_is_notified_of_the_answer(house: tuple[MatrixInstance, Person, Person]) -> None:
    resident, ana, ben = house
    first, second = [await person.direct(resident.user_id) for person in (ana, ben)]
    for person, room in ((ana, first), (ben, second)):
        await person.until(lambda person=person, room=room: person.members[room].get(resident.user_id) == "join")  # type: ignore[misc]
    resident.engine.gate.clear()
    await ana.say(first, "Where is the drive?")
    await ana.shown(first, lambda shown: shown.body.startswith("The drive"))
    await ben.say(second, "Where is the ladder?")
    place = await ben.shown(second, lambda shown: "number 1" in shown.body)
    resident.engine.gate.set()
    (answer,) = await answered(ben, resident, second)
    assert answer.event_id != place.event_id
    await ben.until(lambda: place.event_id not in {shown.event_id for shown in ben.timeline.shown(second)})
    told = (await ben.request("GET", "/notifications"))["notifications"]
    assert answer.event_id in {each["event"]["event_id"] for each in told}
    assert place.event_id not in {each["event"]["event_id"] for each in told}


async def test_a_question_that_is_deleted_while_it_waits_leaves_nothing(
    house: tuple[MatrixInstance, Person, Person],
) -> None:
    resident, ana, ben = house
    first, second = [await person.direct(resident.user_id) for person in (ana, ben)]
    for person, room in ((ana, first), (ben, second)):
        await person.shown(room, lambda shown: "!help" in shown.body)
    resident.engine.gate.clear()
    await ana.say(first, "Where is the drive?")
    await ana.shown(first, lambda shown: shown.body.startswith("The drive"))
    question = await ben.say(second, "Where is the ladder?")
    place = await ben.shown(second, lambda shown: "number 1" in shown.body)
    await ben.redact(second, question)
    await ben.until(lambda: place.event_id not in {shown.event_id for shown in ben.timeline.shown(second)})
    resident.engine.gate.set()
    await resident.core.inbox.wait_until_idle()
    await answered(ana, resident, first)
    said = ben.timeline.shown(second, resident.user_id)
    assert ["!help" in shown.body for shown in said] == [True]

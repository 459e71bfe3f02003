"""A stop sign on an answer stops it, recycling arrows ask its question again; for who asked, and for admins."""

from typing import Any

import pytest

from adapters.matrix.events import Event
from adapters.matrix.incoming.reactions import reaction_action
from tests.fakes.intake_scene import BEN, CHAT, EVE, Scene, in_thread, replying, scene
from tests.fakes.wire import ALICE, ME, ROOM

STOP, AGAIN = "🛑", "🔁"


@pytest.mark.parametrize(
    ("reaction", "wish"),
    [
        *((sign, "stop") for sign in ("🛑", "⏹", "⏹️", "⏹\ufe0e", "✋", "✋🏽", "✋🏿")),
        *((sign, "again") for sign in ("♻", "♻️", "🔄", "🔁")),
        *((sign, None) for sign in ("👍", "", "🛑🛑", "stop", "🏽", "\ufe0f", "🔁 ")),
    ],
)
def test_what_a_reaction_asks_for(reaction: str, wish: str | None) -> None:
    assert reaction_action(reaction) == wish


async def answered(it: Scene, asked: Event, body: str = "Here.", **content: Any) -> Event:
    """What we said to a question."""
    return await it.hear(body, ME, asked.room_id, **{**replying(asked), **content})


async def ended(it: Scene) -> None:
    it.done.set()
    await it.inbox.wait_until_idle()


@pytest.mark.parametrize("room_id", [ROOM, CHAT])
async def test_who_asked_may_stop_the_answer(room_id: str) -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?", ALICE, room_id)
        answer = await answered(it, asked)
        await it.react(answer, STOP)
        assert it.inbox.stopped_answers == [(f"matrix:{room_id}", asked.event_id)]


async def test_before_there_is_an_answer_the_question_may_carry_the_sign() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        it.wire.faults.requests.clear()
        await it.react(asked, STOP, BEN)
        await it.react(asked, AGAIN)
        assert it.inbox.stopped_answers == []
        await it.react(asked, STOP)
        assert it.inbox.stopped_answers == [(f"matrix:{ROOM}", asked.event_id)]
        assert it.wire.faults.requests == []


async def test_a_notice_of_ours_about_a_question_can_be_stopped_at() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        waiting = await answered(it, asked, "You are number 2 in the queue.", msgtype="m.notice")
        await it.react(waiting, STOP)
        assert len(it.inbox.stopped_answers) == 1


async def test_others_may_not_and_admins_may() -> None:
    async with scene(admin_users=[BEN], users={"block": [EVE]}) as it:
        asked = await it.hear("Hearth: where?")
        answer = await answered(it, asked)
        await it.react(answer, STOP, EVE)
        await it.react(answer, STOP, ME)
        await it.react(answer, "👍")
        assert it.inbox.stopped_answers == []
        await it.react(answer, STOP, BEN)
        assert len(it.inbox.stopped_answers) == 1
        await ended(it)
        await it.react(answer, AGAIN, EVE)
        assert it.taken == ["where?"]
        await it.react(answer, AGAIN, BEN)
        assert it.taken == ["where?", "where?"]
        assert it.inbox.handled[1].author.id == f"matrix:{BEN}"


async def test_who_is_no_admin_cannot_ask_anothers_question_again() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        answer = await answered(it, asked)
        await ended(it)
        await it.react(answer, AGAIN, BEN)
        assert it.taken == ["where?"]


async def test_asked_again_the_question_is_read_again_as_it_reads_now() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where is the key?")
        answer = await answered(it, asked)
        await ended(it)
        await it.edit(asked, "Hearth: where is the red key?")
        reaction = await it.react(answer, AGAIN)
        again = it.inbox.handled[1]
        assert (again.text, again.event_id, again.addressed) == ("where is the red key?", reaction.event_id, True)
        assert again.platform_data == {"room": ROOM, "question": asked.event_id, "author": ALICE}
        assert again.conversation == f"matrix:{ROOM}"


async def test_asked_again_in_a_thread_it_stays_in_the_thread() -> None:
    async with scene(answer_in_thread=True) as it:
        asked = await it.hear("Hearth: where is the key?")
        root = asked.event_id
        answer = await answered(
            it,
            asked,
            **{
                "m.relates_to": {
                    **in_thread(asked)["m.relates_to"],
                    **replying(asked)["m.relates_to"],
                    "is_falling_back": True,
                }
            },
        )
        await ended(it)
        await it.react(answer, AGAIN)
        assert it.inbox.handled[1].platform_data["thread"] == root
        assert it.inbox.handled[1].conversation == it.inbox.handled[0].conversation == f"matrix:{ROOM}#{root}"


async def test_the_second_answer_can_be_stopped_too_and_taking_the_reaction_back_stops_it() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        answer = await answered(it, asked)
        await ended(it)
        it.done.clear()
        reaction = await it.react(answer, AGAIN)
        await it.react(answer, AGAIN)
        assert it.taken == ["where?", "where?"]
        await it.react(answer, STOP)
        await it.redact(reaction)
        assert it.inbox.stopped_answers == it.inbox.withdrawn == [(f"matrix:{ROOM}", reaction.event_id)]


async def test_a_question_taken_back_withdraws_its_second_answer_too() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        answer = await answered(it, asked)
        await ended(it)
        it.done.clear()
        reaction = await it.react(answer, AGAIN)
        await it.redact(asked)
        assert it.inbox.withdrawn == [(f"matrix:{ROOM}", reaction.event_id)]


async def test_an_answer_that_began_as_a_notice_is_an_answer() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        answer = await answered(it, asked, "You are number 2 in the queue.", msgtype="m.notice")
        await it.edit(answer, "Here.")
        await ended(it)
        await it.react(answer, AGAIN)
        assert it.taken == ["where?", "where?"]


async def test_what_a_command_said_is_not_asked_again() -> None:
    async with scene() as it:
        asked = await it.hear("!forget")
        said = await answered(it, asked, "Forgotten.", msgtype="m.notice")
        await ended(it)
        await it.react(said, AGAIN)
        assert it.taken == ["!forget"]


async def test_a_question_that_is_gone_is_not_asked_again() -> None:
    async with scene() as it:
        asked = await it.hear("Hearth: where?")
        answer = await answered(it, asked)
        await ended(it)
        await it.redact(asked)
        await it.react(answer, AGAIN)
        assert it.taken == ["where?"]


async def test_a_reaction_on_anything_else_is_nothing() -> None:
    async with scene(admin_users=[ALICE]) as it:
        asked = it.wire.say("Hearth: where?", BEN)
        bens = await it.hear("Here.", BEN, **replying(asked))
        welcome = await it.hear("Hello.", ME)
        for event in (asked, bens, welcome):
            await it.react(event, STOP)
            await it.react(event, AGAIN)
        await it.react(welcome, ["🛑"])
        assert (it.taken, it.inbox.stopped_answers) == ([], [])


async def test_a_thumb_costs_no_request() -> None:
    async with scene() as it:
        answer = it.wire.say("Here.", ME)
        await it.react(answer, "👍")
        await it.react(answer, STOP, ME)
        assert it.wire.faults.requests == []


async def test_a_picture_is_not_asked_again() -> None:
    async with scene(admin_users=[ALICE]) as it:
        asked = await it.hear("!stats")
        chart = await answered(it, asked, "chart.png", msgtype="m.image")
        await ended(it)
        await it.react(chart, AGAIN)
        assert it.taken == ["!stats"]

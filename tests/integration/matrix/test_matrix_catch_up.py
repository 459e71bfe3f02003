"""What was missed on a real homeserver is answered once: over restarts, kills and outages."""

import asyncio
from collections.abc import Awaitable, Callable

from adapters.matrix.adapter import FOLDER
from adapters.matrix.client import TIMELINE_EVENTS
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.sync_state import FILE
from deploy.dev.homeserver import Person, SynapseServer
from deploy.dev.homeserver.client import WAIT_S
from models.engine import Prompt
from tests.fakes.engine import ScriptedEngine
from tests.fakes.matrix_resident import MatrixInstance
from tests.fakes.until import until

Enter = Callable[..., Awaitable[Person]]


def repeat(prompt: Prompt) -> list[str]:
    """An answer that tells which question it answers."""
    return ["Answer to ", prompt.tail.splitlines()[-1]]


async def moved_in(resident: MatrixInstance, ana: Person) -> str:
    """Hearth at work in a direct chat."""
    resident.engine = ScriptedEngine(repeat)
    await resident.start()
    room = await ana.direct(resident.user_id)
    await ana.until(lambda: ana.members[room].get(resident.user_id) == "join")
    await ana.shown(room, lambda shown: shown.kind == "m.notice")
    return room


async def answers(ana: Person, resident: MatrixInstance, room: str, *questions: str) -> None:
    """Wait until exactly these questions have been answered in this order, and nothing more comes."""
    wanted = [f"Answer to {question}" for question in questions]

    def bodies() -> list[str]:
        return [shown.body for shown in ana.timeline.shown(room, resident.user_id) if shown.kind == "m.text"]

    await ana.until(lambda: bodies() == wanted or len(bodies()) > len(wanted))
    await resident.core.inbox.wait_until_idle()
    assert bodies() == wanted


async def test_what_was_asked_while_hearth_was_down_is_answered_once_and_in_order(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana")
    room = await moved_in(resident, ana)
    await ana.say(room, "before")
    await answers(ana, resident, room, "before")
    for _ in range(2):
        await resident.stop()
        await resident.start()
    await resident.stop()
    for question in ("one", "two", "three"):
        await ana.say(room, question)
    await resident.start()
    await answers(ana, resident, room, "before", "one", "two", "three")


async def test_what_lies_behind_more_events_than_a_sync_tells_is_found(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana")
    room = await moved_in(resident, ana)
    await resident.stop()
    await ana.say(room, "early")
    await asyncio.gather(*(ana.say(room, f"noise {number}", kind="m.notice") for number in range(2 * TIMELINE_EVENTS)))
    await ana.say(room, "late")
    resident.settings = MatrixSettings(catch_up_messages=200)
    await resident.start()
    await answers(ana, resident, room, "early", "late")


async def test_of_too_many_only_the_newest_are_answered_and_none_that_is_too_old(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana")
    room = await moved_in(resident, ana)
    await resident.stop()
    for question in ("one", "two", "three"):
        await ana.say(room, question)
    resident.settings = MatrixSettings(catch_up_messages=2)
    await resident.start()
    await answers(ana, resident, room, "two", "three")
    await resident.stop()
    await ana.say(room, "too old")
    await asyncio.sleep(1.1)
    resident.settings = MatrixSettings(catch_up_max_age_s=1)
    await resident.start()
    await ana.say(room, "now")
    await answers(ana, resident, room, "two", "three", "now")


async def test_a_process_that_dies_over_an_answer_is_followed_by_one_that_gives_it_once(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana")
    room = await moved_in(resident, ana)
    resident.engine.gate.clear()
    await ana.say(room, "question")
    await ana.shown(room, lambda shown: shown.sender == resident.user_id and shown.body.startswith("Answer"))
    await resident.stop()
    await resident.start()
    await answers(ana, resident, room, "question")


async def test_a_homeserver_that_is_gone_for_a_while_loses_no_question_and_no_answer(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana")
    room = await moved_in(resident, ana)
    resident.engine.gate.clear()
    await ana.say(room, "question")
    await until(lambda: resident.engine.prompts, WAIT_S)
    await homeserver.stop()
    resident.engine.gate.set()
    await asyncio.sleep(1.0)
    await homeserver.start()
    await answers(ana, resident, room, "question")
    await ana.say(room, "and now?")
    await answers(ana, resident, room, "question", "and now?")


async def test_what_was_said_before_the_very_first_start_stays_unanswered(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana")
    room = await ana.direct(resident.user_id)
    async with Person(homeserver.url, resident.account) as before:
        await before.join(room)
    await ana.say(room, "before")
    resident.engine = ScriptedEngine(repeat)
    await resident.start()
    await until((resident.folder / FOLDER / FILE).exists, WAIT_S)
    await ana.say(room, "after")
    await answers(ana, resident, room, "after")

"""A homeserver that is away, overloaded or limits everything for a while: all answers arrive whole and once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from deploy.dev.homeserver import Person, SynapseServer
from deploy.dev.homeserver.client import WAIT_S
from models.engine import Prompt
from tests.fakes.engine import ScriptedEngine
from tests.fakes.matrix_resident import MatrixInstance
from tests.homeserver import Capture

Enter = Callable[..., Awaitable[Person]]
PEOPLE = ("ana", "ben")
EVENTS = r"/(send|redact)/"


def told(prompt: Prompt) -> list[str]:
    """An answer in pieces, which names its question."""
    return ["This is an answer. ", "It is about ", prompt.tail.splitlines()[-1], " and ends here."]


def answer_to(question: str) -> str:
    return "".join(["This is an answer. ", "It is about ", question, " and ends here."])


@pytest.fixture
async def house(homeserver: SynapseServer, capture: Capture, tmp_path: Path) -> AsyncIterator[MatrixInstance]:
    """Hearth behind a proxy, at work on several answers at once."""
    resident = await MatrixInstance.registered_at(homeserver, tmp_path, capture.url)
    resident.engine = ScriptedEngine(told, capacity=len(PEOPLE))
    await resident.start()
    yield resident
    await resident.stop()


async def chats(house: MatrixInstance, homeserver: SynapseServer, enter: Enter) -> dict[str, Person]:
    """Direct chats with several people, by room."""
    rooms: dict[str, Person] = {}
    for name in PEOPLE:
        person = await enter(homeserver, name)
        room = await person.direct(house.user_id)
        await person.shown(room, lambda shown: shown.kind == "m.notice")
        rooms[room] = person
    return rooms


async def begun(house: MatrixInstance, rooms: dict[str, Person], question: str) -> None:
    """Ask in all rooms, and wait until people see the beginnings of the answers, which go no further."""
    house.engine.gate.clear()
    for room, person in rooms.items():
        await person.say(room, question)
    for room, person in rooms.items():
        await person.shown(room, lambda shown: shown.sender == house.user_id and shown.body.startswith("This is"))


async def ended(house: MatrixInstance, rooms: dict[str, Person], *questions: str, timeout_s: float = WAIT_S) -> None:
    """Wait until all rooms show the whole answers to these questions, in order, and nothing else."""
    expected = [answer_to(question) for question in questions]
    for room, person in rooms.items():

        def bodies(room: str = room, person: Person = person) -> list[str]:
            return [shown.body for shown in person.timeline.shown(room, house.user_id) if shown.kind == "m.text"]

        await person.until(lambda bodies=bodies: bodies() == expected, timeout_s)  # type: ignore[misc]
    async with asyncio.timeout(timeout_s):
        await house.core.inbox.wait_until_idle()


async def outage(house: MatrixInstance, homeserver: SynapseServer, enter: Enter, away_s: float) -> None:
    """The homeserver dies in the middle of answers, which end meanwhile, and comes back."""
    rooms = await chats(house, homeserver, enter)
    await begun(house, rooms, "before")
    await homeserver.stop(kill=True)
    house.engine.gate.set()
    await asyncio.sleep(away_s)
    await homeserver.start()
    for room, person in rooms.items():  # before Hearth has heard that the server is back
        await person.say(room, "meanwhile")
    await ended(house, rooms, "before", "meanwhile", timeout_s=2 * away_s + WAIT_S)
    assert house.running is not None
    assert not house.running.done()


async def test_answers_outlive_a_homeserver_that_dies_and_comes_back(
    house: MatrixInstance, homeserver: SynapseServer, enter: Enter
) -> None:
    await outage(house, homeserver, enter, away_s=1)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_answers_outlive_a_minute_without_a_homeserver(
    house: MatrixInstance, homeserver: SynapseServer, enter: Enter
) -> None:
    await outage(house, homeserver, enter, away_s=60)


async def refusals(
    house: MatrixInstance, homeserver: SynapseServer, enter: Enter, capture: Capture, fault: str, lasts_s: float
) -> None:
    """In the middle of answers the homeserver takes nothing for a while; asked is all the same."""
    rooms = await chats(house, homeserver, enter)
    await begun(house, rooms, "before")
    before = len(capture.requests)
    if fault == "limited":
        struck = capture.faults.limit(retry_after_s=2.0, for_s=lasts_s)
    elif fault == "broken":
        struck = capture.faults.fail(status=500, for_s=lasts_s)
    else:
        struck = capture.faults.drop(for_s=lasts_s)
    house.engine.gate.set()
    for room, person in rooms.items():
        await person.say(room, "meanwhile")
    await asyncio.sleep(lasts_s)
    assert struck.hits > 0
    # Each answer's text and typing, and the sync: no more often than every two seconds, or as the server says.
    assert len(capture.requests) - before < len(rooms) * (6 + 2 * lasts_s), "no storm"
    await ended(house, rooms, "before", "meanwhile", timeout_s=lasts_s + WAIT_S)
    assert len(capture.made(EVENTS)) < len(rooms) * (20 + lasts_s)


@pytest.mark.parametrize("fault", ["limited", "broken"])
async def test_answers_outlive_a_homeserver_that_takes_nothing_for_a_while(
    house: MatrixInstance, homeserver: SynapseServer, enter: Enter, capture: Capture, fault: str
) -> None:
    await refusals(house, homeserver, enter, capture, fault, lasts_s=2.5)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", ["limited", "broken", "cut off"])
async def test_answers_outlive_a_homeserver_that_takes_nothing_for_a_minute(
    house: MatrixInstance, homeserver: SynapseServer, enter: Enter, capture: Capture, fault: str
) -> None:
    await refusals(house, homeserver, enter, capture, fault, lasts_s=60)

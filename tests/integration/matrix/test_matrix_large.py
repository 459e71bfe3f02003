"""Long questions, long answers and full rooms on a real homeserver."""

from collections.abc import Awaitable, Callable

import pytest

from bot.core.settings import CoreSettings
from bot.core.texts import localize
from deploy.dev.element import Peer
from deploy.dev.homeserver import Person, SynapseServer
from deploy.dev.homeserver.client import Client
from tests.fakes.engine import ScriptedEngine
from tests.fakes.matrix_resident import MatrixInstance

Enter = Callable[..., Awaitable[Person]]
EnterEncrypted = Callable[..., Awaitable[Peer]]
ANSWER = "The drive is there [1]."
LIMIT = CoreSettings().question_characters


async def chat(resident: MatrixInstance, person: Client, encrypted: bool = False) -> str:
    """Hearth at work in a direct chat."""
    await resident.start()
    room = await person.direct(resident.user_id, encrypted=encrypted)
    await person.shown(room, lambda shown: "!help" in shown.body)
    return room


async def test_a_message_as_long_as_events_are_is_taken_or_refused_with_a_sentence(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana")
    room = await chat(resident, ana)
    too_long = await ana.say(room, "x" * 60_000)
    refused = localize("question_too_long_characters", "en", size=60_000, limit=LIMIT)
    await ana.shown(room, lambda shown: shown.reply_to == too_long and shown.body == refused)
    just = await ana.say(room, f"{'Where is the drive? ' * (LIMIT // 20 - 1)}Where?")
    await ana.shown(room, lambda shown: shown.reply_to == just and shown.sender == resident.user_id)
    asked = await ana.say(room, "Where is the drive?")
    await ana.shown(room, lambda shown: (shown.reply_to, shown.body) == (asked, ANSWER))


async def long_answer(resident: MatrixInstance, person: Client, encrypted: bool) -> None:
    """An answer of 60 KB arrives whole, in messages that all reply to the question."""
    pieces = [f"Line {number} of a long answer, which goes on and on.\n" for number in range(1200)]
    resident.engine = ScriptedEngine(lambda _: pieces)
    room = await chat(resident, person, encrypted)
    asked = await person.say(room, "Tell me all.")

    def answer() -> str:
        shown = (shown for shown in person.timeline.shown(room, resident.user_id) if shown.kind == "m.text")
        return "".join(shown.body for shown in shown if shown.reply_to == asked)

    def joined(text: str) -> str:
        return "".join(text.split())

    await person.until(lambda: joined(answer()) == joined("".join(pieces)))


async def test_an_answer_of_60_kb_arrives_whole(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    await long_answer(resident, await enter(homeserver, "ana"), encrypted=False)


async def test_an_answer_of_60_kb_arrives_whole_in_an_encrypted_chat(
    homeserver: SynapseServer, resident: MatrixInstance, enter_encrypted: EnterEncrypted
) -> None:
    await long_answer(resident, await enter_encrypted(homeserver, "ana"), encrypted=True)


async def full_room(
    homeserver: SynapseServer, resident: MatrixInstance, ana: Client, size: int, encrypted: bool
) -> None:
    """A question in a room of so many is answered, also after a restart."""
    await resident.start()
    room = await ana.create_room("fair", [resident.user_id], preset="public_chat", encrypted=encrypted)
    await ana.until(lambda: ana.members[room].get(resident.user_id) == "join")
    await homeserver.crowd(room, size - 2)
    for _ in range(2):
        asked = await ana.say(room, "Where is the drive?", mentions=[resident.user_id])
        await ana.shown(room, lambda shown, asked=asked: (shown.reply_to, shown.body) == (asked, ANSWER), 60)  # type: ignore[misc]
        await resident.stop()
        await resident.start()


async def test_in_a_full_room_it_answers(homeserver: SynapseServer, resident: MatrixInstance, enter: Enter) -> None:
    await full_room(homeserver, resident, await enter(homeserver, "ana"), 40, encrypted=False)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("encrypted", [False, True])
async def test_in_a_room_of_500_it_answers(
    homeserver: SynapseServer, resident: MatrixInstance, enter_encrypted: EnterEncrypted, encrypted: bool
) -> None:
    await full_room(homeserver, resident, await enter_encrypted(homeserver, "ana"), 500, encrypted)

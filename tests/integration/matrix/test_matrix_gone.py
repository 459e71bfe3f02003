"""What is taken away from Hearth on a real homeserver while it works: a room, its account, the messages it missed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from adapters.matrix.settings import MatrixSettings
from deploy.dev.homeserver import Person, SynapseServer
from deploy.dev.homeserver.client import WAIT_S
from tests.fakes.engine import ScriptedEngine
from tests.fakes.matrix_resident import MatrixInstance, log_in
from tests.fakes.until import until
from tests.homeserver import Capture
from tests.integration.matrix.program import hearth_run, told

Enter = Callable[..., Awaitable[Person]]
ANSWER = "The drive is there [1]."
MISSED = 60


async def chat(resident: MatrixInstance, person: Person) -> str:
    """A direct chat, in which Hearth has said its welcome."""
    room = await person.direct(resident.user_id)
    await person.shown(room, lambda shown: "!help" in shown.body)
    return room


async def test_a_room_that_is_deleted_during_an_answer_ends_it_and_nothing_else(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    await resident.start()
    ana, ben = await enter(homeserver, "ana"), await enter(homeserver, "ben")
    room, other = await chat(resident, ana), await chat(resident, ben)
    resident.engine.gate.clear()
    await ana.say(room, "Where is the drive?")
    await ana.shown(room, lambda shown: shown.sender == resident.user_id and shown.kind == "m.text")
    await homeserver.administer("DELETE", f"/v1/rooms/{quote(room)}", {"purge": True, "force_purge": True})
    resident.engine.gate.set()
    async with asyncio.timeout(WAIT_S):
        await resident.core.inbox.wait_until_idle()
    await ben.say(other, "Where is the drive?")
    await ben.shown(other, lambda shown: shown.body == ANSWER)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_put_out_while_the_final_text_is_on_its_way_it_goes_on_elsewhere(
    homeserver: SynapseServer, enter: Enter, capture: Capture, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    resident = await MatrixInstance.registered_at(homeserver, tmp_path, capture.url)
    await resident.start()
    ana, ben = await enter(homeserver, "ana"), await enter(homeserver, "ben")
    other = await chat(resident, ben)
    room = await ana.create_room("kitchen", [resident.user_id])
    await ana.shown(room, lambda shown: "!help" in shown.body)
    held = capture.faults.hold(f"/rooms/{quote(room)}/send/|/rooms/{room}/send/", times=1)
    await ana.say(room, "Where is the drive?")
    await capture.until(lambda: held.held)
    await ana.kick(room, resident.user_id)
    held.release()
    async with asyncio.timeout(WAIT_S):
        await resident.core.inbox.wait_until_idle()
    await ben.say(other, "Where is the drive?")
    await ben.shown(other, lambda shown: shown.body == ANSWER)
    await ana.invite(room, resident.user_id)
    again = await ana.say(room, "And now?")
    # What became of the first question is said below the answer to the next one.
    await ana.shown(room, lambda shown: shown.reply_to == again and shown.body.startswith(f"{ANSWER}\n\nEarlier"))
    await resident.stop()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_long_absence_is_caught_up_with_oldest_first_and_each_question_once(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    resident.engine = ScriptedEngine(lambda prompt: ["Answer to ", prompt.tail.splitlines()[-1]])
    resident.settings = MatrixSettings(catch_up_messages=MISSED - 10)
    await resident.start()
    people = [await enter(homeserver, name) for name in ("ana", "ben")]
    rooms = {await chat(resident, person): person for person in people}
    await resident.stop()
    resident.core_settings = {
        "open_questions_per_person": MISSED,
        "flood_answers_per_minute": 2 * MISSED,
        "queue_notice_after_s": 60,
    }

    async def ask(room: str, person: Person) -> None:
        for number in range(MISSED // 2 if person is people[1] else MISSED):
            await person.say(room, f"question {number}")

    await asyncio.gather(*(ask(room, person) for room, person in rooms.items()))
    await resident.start()
    for room, person in rooms.items():
        numbers = range(MISSED // 2) if person is people[1] else range(10, MISSED)
        expected = [f"Answer to question {number}" for number in numbers]

        await person.shown(room, lambda shown, last=expected[-1]: shown.body == last, 2 * WAIT_S)  # type: ignore[misc]
        shown = person.timeline.shown(room, resident.user_id)
        assert [shown.body for shown in shown if shown.kind == "m.text"] == expected
    await until(lambda: len(resident.engine.prompts) == MISSED - 10 + MISSED // 2, WAIT_S)


@pytest.mark.parametrize(
    ("soft", "words"), [(False, "no longer knows Hearth's access token"), (True, "(soft logout): its access token has")]
)
async def test_an_account_that_is_lost_ends_the_program_with_what_to_do(
    homeserver: SynapseServer, capture: Capture, tmp_path: Path, enter: Enter, soft: bool, words: str
) -> None:
    account = await homeserver.register("hearth")
    log_in(tmp_path / "data", capture.url, account)
    ana = await enter(homeserver, "ana")
    async with hearth_run(tmp_path) as process:
        room = await ana.direct(account.user_id)
        await ana.shown(room, lambda shown: "!help" in shown.body)
        if soft:
            body = {"errcode": "M_UNKNOWN_TOKEN", "error": f"{account.access_token} has expired", "soft_logout": True}
            capture.faults.answer("", 401, body)
        else:
            await homeserver.log_out(account)
        await ana.say(room, "Ends the wait for news.")
        said = await told(process)
    assert process.returncode == 1, said
    assert words in said
    assert "hearth matrix login --again" in said
    assert "Traceback" not in said
    assert account.access_token not in said

"""`hearth run` with Matrix switched on, and what an admin is told when the account is lost."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from adapters.matrix.adapter import FOLDER, MatrixAdapter
from adapters.matrix.homeserver import MatrixUnusable
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.sync_state import FILE
from deploy.dev.homeserver import Person, Shown, SynapseServer
from deploy.dev.homeserver.client import WAIT_S
from tests.fakes.inbox import FakeInbox
from tests.fakes.matrix_resident import MatrixInstance, log_in
from tests.fakes.until import until
from tests.homeserver import Capture
from tests.integration.matrix.program import hearth_run, told

Enter = Callable[..., Awaitable[Person]]


async def test_without_a_login_run_ends_with_a_sentence(tmp_path: Path) -> None:
    async with hearth_run(tmp_path) as process:
        said = await told(process)
    assert process.returncode == 1
    assert "hearth matrix login" in said
    assert "Traceback" not in said


async def test_run_answers_and_ends_in_good_order(homeserver: SynapseServer, enter: Enter, tmp_path: Path) -> None:
    account = await homeserver.register("hearth")
    log_in(tmp_path / "data", homeserver.url, account)
    ana = await enter(homeserver, "ana")
    async with hearth_run(tmp_path) as process:
        room = await ana.direct(account.user_id)
        await ana.say(room, "What is the word?")
        await ana.shown(room, lambda shown: shown.sender == account.user_id and "What is the word?" in shown.body)
        process.send_signal(signal.SIGTERM)
        said = await told(process)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert account.access_token not in said
    assert "What is the word" not in said


async def test_a_killed_process_is_followed_by_one_that_ends_the_answer_in_the_same_message(
    homeserver: SynapseServer, enter: Enter, tmp_path: Path
) -> None:
    account = await homeserver.register("hearth")
    log_in(tmp_path / "data", homeserver.url, account)
    ana = await enter(homeserver, "ana")
    question = "What is the word? " * 20 + "The end."

    def answers() -> list[Shown]:
        return [shown for shown in ana.timeline.shown(room, account.user_id) if shown.kind == "m.text"]

    async with hearth_run(tmp_path) as process:
        room = await ana.direct(account.user_id)
        await ana.say(room, question)
        await ana.until(answers)
        process.kill()
        await process.communicate()
    (begun,) = answers()
    assert "The end." not in begun.body
    await ana.say(room, "And another one?")
    async with hearth_run(tmp_path):
        await ana.until(lambda: "The end." in answers()[0].body and "another" in answers()[-1].body)
    ended, _ = answers()
    assert ended.event_id == begun.event_id


async def test_an_account_that_is_logged_out_ends_it_with_what_to_do(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    await resident.start()
    ana = await enter(homeserver, "ana")
    room = await ana.direct(resident.user_id)
    await ana.until(lambda: ana.members[room].get(resident.user_id) == "join")
    await homeserver.log_out(resident.account)
    await ana.say(room, "Ends the wait for news.")
    assert resident.running is not None
    with pytest.raises(MatrixUnusable, match="hearth matrix login"):
        async with asyncio.timeout(WAIT_S + 30):
            await resident.running
    resident.running = None


async def test_a_second_process_with_the_same_keys_is_refused(resident: MatrixInstance) -> None:
    await resident.start()
    await until((resident.folder / FOLDER / FILE).exists, WAIT_S)
    second = MatrixAdapter(MatrixSettings(), resident.folder)
    with pytest.raises(MatrixUnusable, match="Another process"):
        await second.run(FakeInbox())
    await second.close()


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_is_wrong_changes_nothing(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter, capture: Capture, minutes: int
) -> None:
    capture.skew_s = 60 * minutes
    resident.folder /= "skewed"
    log_in(resident.folder, capture.url, resident.account)
    resident.settings = MatrixSettings(catch_up_max_age_s=300)
    ana = await enter(homeserver, "ana")
    await resident.start()
    room = await ana.direct(resident.user_id)
    await ana.say(room, "live")
    await resident_answers(ana, resident, room, 1)
    await resident.stop()
    await ana.say(room, "missed")
    await resident.start()
    await resident_answers(ana, resident, room, 2)


async def resident_answers(ana: Person, resident: MatrixInstance, room: str, count: int) -> None:
    """Wait for so many answers."""

    def answers() -> int:
        return sum(shown.kind == "m.text" for shown in ana.timeline.shown(room, resident.user_id))

    await ana.until(lambda: answers() >= count)
    await resident.core.inbox.wait_until_idle()
    assert answers() == count

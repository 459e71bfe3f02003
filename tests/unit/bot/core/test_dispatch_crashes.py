"""After a crash, the messages that may have caused it are tried one at a time, so that only the cause is given up."""

from pathlib import Path

from bot.core.journal import message_key
from bot.core.texts import localize
from tests.fakes.core import Core, RecoveryAdapter, running_core
from tests.fakes.engine import ScriptedEngine
from tests.fakes.messages import message
from tests.fakes.until import until


async def leave_answering(core: Core, *event_ids: str) -> None:
    """Leave messages as a crash during their answers does."""
    for event_id in event_ids:
        asked = message(f"Where is {event_id}?", event_id, author=event_id, conversation=f"console:{event_id}")
        await core.history.journal.receive_message(asked)
        await core.history.journal.mark_answering(message_key(asked))


async def test_suspects_of_a_crash_are_answered_one_at_a_time_and_alone(tmp_path: Path) -> None:
    engine = ScriptedEngine(capacity=3, piece_s=0.001)
    async with running_core(tmp_path, engine=engine) as core:
        await leave_answering(core, "a", "b", "c")
        await core.inbox.resume(RecoveryAdapter(core))
        await core.send(message("Where is it?", "new", author="new", conversation="console:new"))
        await core.inbox.wait_until_idle()
    assert engine.most_running == 1
    assert all(core.replies[event_id].closing for event_id in ("a", "b", "c", "new"))


async def test_a_second_crash_counts_for_the_question_that_ran_alone(tmp_path: Path) -> None:
    engine = ScriptedEngine(capacity=3)
    engine.gate.clear()
    async with running_core(tmp_path, engine=engine) as core:
        await leave_answering(core, "poison", "innocent")
        await core.inbox.resume(RecoveryAdapter(core))
        await until(lambda: bool(core.replies["poison"].pieces))
        states = dict(await core.history._database.fetch_rows("SELECT event_id, state FROM messages"))
        assert states == {"poison": "answering", "innocent": "received"}
        await core.history.journal.reopen_message(("console", "poison"))  # as the start after the crash does
        engine.gate.set()
        crashes = dict(await core.history._database.fetch_rows("SELECT event_id, crashes FROM messages"))
    assert crashes == {"poison": 2, "innocent": 1}


async def test_after_two_crashes_the_sentence_comes_and_the_innocent_is_answered(tmp_path: Path) -> None:
    async with running_core(tmp_path) as core:
        await leave_answering(core, "poison", "innocent")
        await core.history._database.execute("UPDATE messages SET crashes = 1")
        await core.history._database.execute("UPDATE messages SET state = 'received' WHERE event_id = 'innocent'")
        await core.inbox.resume(RecoveryAdapter(core))
        await core.inbox.wait_until_idle()
    assert core.replies["poison"].failure == localize("crashed_twice", "en")
    assert core.replies["innocent"].closing is not None


async def test_a_command_that_was_running_at_the_crash_runs_alone_too(tmp_path: Path) -> None:
    engine = ScriptedEngine(capacity=3)
    engine.gate.clear()
    async with running_core(tmp_path, engine=engine) as core:
        await leave_answering(core, "question")
        command = message("!stats", "command", author="eve", conversation="console:eve", admin=True)
        await core.history.journal.receive_message(command)
        await core.history.journal.mark_answering(message_key(command))
        await core.inbox.resume(RecoveryAdapter(core))
        await until(lambda: bool(core.replies["question"].pieces))
        assert not core.replies["command"].ended.is_set()
        engine.gate.set()
        await core.inbox.wait_until_idle()
    assert core.replies["command"].closing is not None

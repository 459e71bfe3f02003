"""What is forgotten is nowhere afterwards: not in what waits, not in what is being written, not in what is saved."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.forgetting import Forgetter
from bot.core.history import History
from bot.core.messages import ContextMessage
from bot.core.texts import localize
from models.engine import STATELESS_PREFIX, EngineFailed, Prompt
from tests.fakes.core import Core, RecoveryAdapter, running_core
from tests.fakes.engine import ScriptedEngine
from tests.fakes.messages import message
from tests.fakes.until import until

PIN = "zebra8231"
ROOM = "console:room"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    folder = tmp_path / "documents" / "handbook"
    folder.mkdir(parents=True)
    (folder / "drive.txt").write_text("The backup drive lives on shelf Heron.")
    return tmp_path


def repeats(prompt: Prompt) -> list[str]:
    """A model that repeats what it has read."""
    return ["You said: ", " ".join(turn.text for turn in prompt.turns())]


def text_of(prompt: Prompt) -> str:
    return "\n".join(turn.text for turn in prompt.turns())


def files_with(folder: Path, word: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def held(engine: ScriptedEngine) -> ScriptedEngine:
    engine.gate.clear()
    return engine


async def ana_says_her_pin(core: Core) -> None:
    await core.ask(message(f"The backup drive: my PIN is {PIN}, remember it", "pin", private=False))


async def test_a_question_that_waits_is_not_answered_from_what_was_forgotten_meanwhile(house: Path) -> None:
    async with running_core(house) as core:
        await ana_says_her_pin(core)
        core.engine.gate.clear()
        elsewhere = await core.send(message("Is the backup drive large?", "2", author="carl", conversation="console:b"))
        await until(lambda: bool(elsewhere.pieces))
        waiting = await core.send(message("The backup drive: what is her PIN?", "3", author="bob", private=False))
        await until(lambda: bool(waiting.places))
        forgotten = await core.send(message("!forget", "4", private=False))
        await forgotten.ended.wait()
        core.engine.gate.set()
        await core.inbox.wait_until_idle()
        assert files_with(house, PIN) == []
    assert waiting.closing is not None
    assert PIN not in text_of(core.engine.prompts[-1])


async def test_an_answer_that_is_being_written_from_forgotten_words_starts_over(house: Path) -> None:
    engine = ScriptedEngine(repeats)
    async with running_core(house, engine=engine) as core:
        await ana_says_her_pin(core)
        engine.gate.clear()
        writing = await core.send(message("The backup drive: what is her PIN?", "2", author="bob", private=False))
        await until(lambda: bool(writing.pieces))
        forgotten = await core.send(message("!forget", "3", private=False))
        await forgotten.ended.wait()
        engine.gate.set()
        await core.inbox.wait_until_idle()
        turns = await core.history.past_turns(message("").conversation)
        assert files_with(house, PIN) == []
    assert writing.closing is not None
    assert PIN not in writing.closing.text
    assert [turn.speaker for turn in turns] == ["Bob", ""]


async def test_answers_to_others_that_repeat_forgotten_words_go_with_them(house: Path) -> None:
    async with running_core(house, engine=ScriptedEngine(repeats)) as core:
        await core.ask(message("The backup drive: is it large?", "1", author="bob", private=False))
        await ana_says_her_pin(core)
        await core.ask(message("The backup drive: what is her PIN?", "2", author="bob", private=False))
        await core.ask(message("!forget", "3", private=False))
        turns = await core.history.past_turns(message("").conversation)
        assert files_with(house, PIN) == []
    assert [turn.text for turn in turns if turn.role == "user"] == ["The backup drive: is it large?"]


async def test_what_a_waiting_question_quotes_of_a_person_is_forgotten_with_them(house: Path) -> None:
    async with running_core(house) as core:
        core.engine.gate.clear()
        running = await core.send(message("Where is the backup drive?", "1", author="carl", conversation="console:b"))
        await until(lambda: bool(running.pieces))
        said = (ContextMessage("Ana", f"My PIN is {PIN}.", "ana"), ContextMessage("Bob", "Bring it.", "bob"))
        asked = message("The backup drive: what is it?", "2", author="bob", private=False)
        waiting = await core.send(replace(asked, context=said))
        await until(lambda: bool(waiting.places))
        forgotten = await core.send(message("!forget", "3"))
        await forgotten.ended.wait()
        assert files_with(house, PIN) == []
        core.engine.gate.set()
        await core.inbox.wait_until_idle()
    assert waiting.closing is not None
    assert PIN not in text_of(core.engine.prompts[-1])


async def test_answers_made_from_quoted_words_go_with_the_person_who_said_them(house: Path) -> None:
    async with running_core(house, engine=ScriptedEngine(repeats)) as core:
        said = (ContextMessage("Ana", f"My PIN is {PIN}.", "ana"),)
        asked = message("The backup drive: what is it?", "1", author="bob", private=False)
        await core.ask(replace(asked, context=said))
        await core.ask(message("!forget", "2", conversation="console:b"))
        assert await core.history.past_turns(message("").conversation) == []
        assert files_with(house, PIN) == []


async def test_a_state_that_cannot_be_dropped_is_told_and_dropped_at_the_next_start(house: Path) -> None:
    async with running_core(house) as core:
        await ana_says_her_pin(core)
        core.engine.keeps_states_with = EngineFailed("The inference thread is dead.")
        reply = await core.ask(message("!forget", "2", private=False))
        assert files_with(house, PIN) == []
    assert reply.closing is not None
    assert "2 turns" in reply.closing.text
    assert reply.closing.note == localize("forgotten_states_pending", "en")
    async with running_core(house) as core:
        dropped = await Forgetter(core.history, core.engine).drop_noted_states()
        assert (dropped.pending, core.engine.forgotten) == (0, [ROOM])
        assert await core.history.erasure.forgotten_states() == []


async def test_a_second_forget_drops_what_the_first_could_not(house: Path) -> None:
    async with running_core(house) as core:
        await ana_says_her_pin(core)
        core.engine.keeps_states_with = EngineFailed("Not now.")
        await core.ask(message("!forget", "2", private=False))
        core.engine.keeps_states_with = None
        reply = await core.ask(message("!forget", "3", private=False))
    assert reply.closing is not None
    assert reply.closing.note == ""
    assert set(core.engine.forgotten) == {ROOM}


async def test_a_kill_between_the_history_and_the_states_loses_no_state(house: Path) -> None:
    async with running_core(house) as core:
        await ana_says_her_pin(core)
        await core.history.erasure.erase_person("ana")  # and here the process dies
    engine, history = ScriptedEngine(), await History.open(house / "history.sqlite3")
    try:
        await Forgetter(history, engine).drop_noted_states()
    finally:
        await history.close()
    assert engine.forgotten == [ROOM]
    assert files_with(house, PIN) == []


async def test_a_state_noted_again_while_it_is_dropped_is_dropped_again(house: Path) -> None:
    async with running_core(house) as core:
        erasure = core.history.erasure
        await erasure.note_states(["a"])
        first = await erasure.forgotten_states()
        await erasure.note_states(["a"])
        await erasure.mark_dropped(number for number, _ in first)
        assert [key for _, key in await erasure.forgotten_states()] == ["a"]


async def test_what_programs_asked_is_forgotten_by_admins_alone(house: Path) -> None:
    async with running_core(house) as core:
        refused = await core.ask(message("!forget programs", "1"))
        assert core.engine.forgotten == []
        done = await core.ask(message("!forget programs", "2", admin=True))
    assert refused.closing is not None
    assert refused.closing.text == localize("not_admin", "en", command="!forget programs")
    assert done.closing is not None
    assert "2 KB of model state" in done.closing.text
    assert core.engine.forgotten == [STATELESS_PREFIX]


async def test_a_history_forgotten_while_it_is_trimmed_is_not_warmed_up(house: Path) -> None:
    engine = ScriptedEngine()
    async with running_core(house, engine=engine) as core:
        await ana_says_her_pin(core)
        count_tokens, engine.prepared = engine.count_tokens, []

        def forget_meanwhile(text: str) -> int:
            core.history.epochs.advance([message("").conversation])
            return count_tokens(text)

        engine.count_tokens = forget_meanwhile  # type: ignore[method-assign]
        await core.inbox._answerer.warm_up_history(message("", private=False), "en")
        assert engine.prepared == []
        engine.count_tokens = count_tokens  # type: ignore[method-assign]
        await core.inbox._answerer.warm_up_history(message("", private=False), "en")
        assert PIN in text_of(engine.prepared[0])


async def test_a_written_answer_from_forgotten_words_is_made_again_after_a_kill(house: Path) -> None:
    async with running_core(house, engine=ScriptedEngine(repeats)) as core:
        await ana_says_her_pin(core)
        await core.ask(message("The backup drive: what is her PIN?", "2", author="bob", private=False))
        # As a kill between writing and delivering leaves it.
        await core.history._database.execute("UPDATE messages SET state = 'written' WHERE event_id = '2'")
        await core.history._database.execute("UPDATE answers SET text = ?, note = '' WHERE event_id = '2'", (PIN,))
        await core.history.erasure.erase_person("ana")
        await core.history.erasure.shrink()
        assert files_with(house, PIN) == []
        states = await core.history._database.fetch_rows("SELECT state FROM messages WHERE event_id = '2'")
        assert states == [("received",)]


async def test_what_is_older_than_the_retention_time_is_deleted_with_its_states(house: Path) -> None:
    async with running_core(house) as core:
        await ana_says_her_pin(core)
        await core.history._database.execute("UPDATE messages SET received_at = received_at - 3 * 86400")
        await core.ask(message("Is the backup drive large?", "2", private=False))
        forgotten = await Forgetter(core.history, core.engine).expire(keep_days=2)
        turns = await core.history.past_turns(message("").conversation)
        assert (forgotten.erased.questions, forgotten.erased.turns) == (1, 2)
        assert [turn.text for turn in turns] == ["Is the backup drive large?", "The drive is there [1]."]
        assert core.engine.forgotten == [ROOM]
        assert files_with(house, PIN) == []


async def test_an_open_question_outlives_the_retention_time(house: Path) -> None:
    engine = held(ScriptedEngine())
    async with running_core(house, engine=engine) as core:
        reply = await core.send(message("Where is the backup drive?", "1"))
        await until(lambda: bool(reply.pieces))
        await core.history._database.execute("UPDATE messages SET received_at = 0")
        await Forgetter(core.history, core.engine).expire(keep_days=1)
        engine.gate.set()
        await core.inbox.wait_until_idle()
    assert reply.closing is not None


async def test_a_question_left_open_is_answered_after_a_restart_without_what_was_forgotten(house: Path) -> None:
    engine = held(ScriptedEngine())
    said = (ContextMessage("Ana", f"My PIN is {PIN}.", "ana"),)
    async with running_core(house, engine=engine) as core:
        asked = message("The backup drive: what is it?", "1", author="bob", private=False)
        reply = await core.send(replace(asked, context=said))
        await until(lambda: bool(reply.pieces))
        forgotten = await core.send(message("!forget", "2"))
        await forgotten.ended.wait()
    async with running_core(house) as core:
        await core.inbox.resume(RecoveryAdapter(core))
        await core.inbox.wait_until_idle()
    assert core.replies["1"].closing is not None
    assert PIN not in text_of(core.engine.prompts[-1])

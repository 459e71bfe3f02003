"""Access follows the text: into follow-ups, into other audiences, and to those who come in while a question waits."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.messages import Attachment, Audience
from bot.core.texts import localize
from models.engine import Prompt
from tests.fakes.core import Core, running_core
from tests.fakes.engine import ScriptedEngine
from tests.fakes.messages import message
from tests.fakes.reply import RecordingReply
from tests.fakes.until import until

CODE = "4711"
READERS = {"secret": ["console:ana"], "garden": ["everyone"]}
ANA = frozenset({"console:room", "console:ana"})
ROOM = frozenset({"console:room"})
SALARY = Attachment("pay.txt", "text/plain", b"The salary of ana is 5000 euros.")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A data folder with a collection for Ana alone and one for everyone."""
    for name, text in {"secret": f"The alarm code is {CODE}.", "garden": "The sprinkler waters the garden."}.items():
        (tmp_path / "documents" / name).mkdir(parents=True)
        (tmp_path / "documents" / name / f"{name}.txt").write_text(text)
    return tmp_path


def repeats(prompt: Prompt) -> list[str]:
    """A model that repeats what it has read."""
    return ["As I said: ", " ".join(turn.text for turn in prompt.turns())]


def history_of(prompt: Prompt) -> str:
    return " ".join(turn.text for turn in prompt.history)


async def quoted_sources(core: Core, event_id: str, **fields: object) -> str:
    reply = await core.ask(message("!sources", event_id, **fields))  # type: ignore[arg-type]
    assert reply.closing is not None
    return reply.closing.text


@pytest.mark.parametrize("is_private", [True, False])
async def test_a_follow_up_does_not_wash_off_the_collection_of_what_it_continues(house: Path, is_private: bool) -> None:
    engine = ScriptedEngine(repeats)
    async with running_core(house, engine=engine, readers=READERS, when_nothing_found="answer") as core:
        await core.ask(message("What is the alarm code?", "1", names=ANA, private=is_private))
        await core.ask(message("Which shelf?", "2", names=ANA, private=is_private))
        await core.ask(message("And what was that number again?", "3", names=ANA, private=is_private))
        assert CODE in history_of(core.engine.prompts[2])
        await core.ask(message("What was that number?", "4", author="bob", names=ROOM, private=False))
    assert CODE not in "".join(turn.text for turn in core.engine.prompts[3].turns())


async def test_turns_of_a_private_answer_are_not_read_to_the_room_that_it_became(house: Path) -> None:
    async with running_core(house, readers=READERS, when_nothing_found="answer") as core:
        await core.ask(message("My garden diary begins", "1", names=ANA))
        await core.ask(message("And the sprinkler?", "2", author="bob", names=ROOM, private=False))
        assert core.engine.prompts[1].history == ()
        await core.ask(message("And the sprinkler?", "3", author="bob", names=ROOM))
        assert "diary" not in history_of(core.engine.prompts[2]), "another person's private answer"
        await core.ask(message("And the sprinkler?", "4", names=ANA))
    assert "diary" in history_of(core.engine.prompts[3]), "it is still her own"


async def test_a_state_is_dropped_when_what_may_be_read_changes_and_not_at_every_question(house: Path) -> None:
    async with running_core(house, readers=READERS, when_nothing_found="answer") as core:
        await core.ask(message("My garden diary begins", "1", names=ANA))
        for number in range(3):
            await core.ask(message("And the sprinkler?", f"b{number}", author="bob", names=ROOM, private=False))
    assert core.engine.forgotten == ["console:room"]


async def test_files_of_a_private_question_are_shown_to_its_author_alone(house: Path) -> None:
    async with running_core(house, readers=READERS) as core:
        await core.ask(message("What is my salary?", "1", names=ANA, attachments=(SALARY,)))
        assert "5000" in await quoted_sources(core, "2", names=ANA)
        room = await quoted_sources(core, "3", author="bob", names=ROOM, private=False)
        bob = await quoted_sources(core, "4", author="bob", names=ROOM)
    assert room == bob == localize("no_answer_yet", "en")


async def test_passages_of_a_file_are_kept_until_the_next_answer(house: Path) -> None:
    async with running_core(house, readers=READERS) as core:
        await core.ask(message("What is my salary?", "1", names=ANA, attachments=(SALARY,)))
        await core.ask(message("What does the sprinkler water?", "2", names=ANA, conversation="console:other"))
        assert "5000" in await quoted_sources(core, "3", names=ANA)
        await core.ask(message("What does the sprinkler water?", "4", names=ANA))
        rows = await core.history._database.fetch_rows("SELECT document FROM sources WHERE collection = ''")
    assert rows == []


async def test_sources_are_those_of_the_answer_written_last_whatever_the_clock_says(house: Path) -> None:
    async with running_core(house, readers=READERS) as core:
        await core.ask(message("What is the alarm code?", "1", names=ANA))
        await core.history._database.execute("UPDATE answers SET ended_at = ended_at + 86400")
        await core.ask(message("What does the sprinkler water?", "2", names=ANA))
        text = await quoted_sources(core, "3", names=ANA)
    assert "garden.txt" in text


async def _ask_behind_another(core: Core, reply: RecordingReply) -> None:
    """Hand in a private question of Ana's that waits for the model."""
    core.engine.gate.clear()
    running = await core.send(message("Is the sprinkler on?", "0", author="carl", conversation="console:b"))
    await until(lambda: bool(running.pieces))
    await core.inbox.handle(message("What is the alarm code?", "1", names=ANA), reply)
    await until(lambda: bool(reply.places))


async def test_who_comes_into_a_chat_while_an_answer_waits_does_not_read_what_was_private(house: Path) -> None:
    async with running_core(house, readers=READERS, when_nothing_found="answer") as core:
        waiting = RecordingReply("1", core.platform)
        await _ask_behind_another(core, waiting)
        await core.inbox.handle(message("Hello!", "2", author="bob", names=ROOM, private=False), RecordingReply("2"))
        core.engine.gate.set()
        await core.inbox.wait_until_idle()
    prompt = next(prompt for prompt in core.engine.prompts if "alarm" in prompt.tail)
    assert CODE not in prompt.tail


async def test_a_platform_that_knows_its_readers_is_asked_when_the_answers_turn_has_come(house: Path) -> None:
    class Reply(RecordingReply):
        audience = Audience(ANA, private=True)

        def current_audience(self) -> Audience:
            return self.audience

    async with running_core(house, readers=READERS, when_nothing_found="answer") as core:
        waiting = Reply("1", core.platform)
        await _ask_behind_another(core, waiting)
        waiting.audience = Audience(ROOM)
        core.engine.gate.set()
        await core.inbox.wait_until_idle()
        await core.ask(message("And the sprinkler?", "3", author="bob", names=ROOM, private=False))
    prompt = next(prompt for prompt in core.engine.prompts if "alarm" in prompt.tail)
    assert CODE not in prompt.tail
    assert "alarm code" in history_of(core.engine.prompts[-1]), "the room was there when it was answered"


@pytest.mark.parametrize("mode", ["refuse", "answer"])
async def test_who_may_read_no_collection_is_told_so_and_the_log_once(
    house: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    only_ana = {"secret": ["console:ana"], "garden": ["console:ana"]}
    hal = frozenset({"console:hals", "console:hal"})
    asked = message("On which shelf is the backup drive?", author="hal", conversation="console:hals", names=hal)
    with caplog.at_level(logging.WARNING):
        async with running_core(house, readers=only_ana, when_nothing_found=mode) as core:
            replies = [await core.ask(replace(asked, event_id=number)) for number in "123"]
    told = [reply.closing for reply in replies if reply.closing]
    if mode == "refuse":
        assert [answer.text for answer in told] == [localize("no_access", "en")] * 3
        assert core.engine.prompts == []
    else:
        assert [answer.note for answer in told] == [localize("no_access_note", "en")] * 3
    (line,) = [record.getMessage() for record in caplog.records if "readers" in record.getMessage()]
    assert "console:hal, console:hals" in line
    assert "backup" not in line


async def test_without_collections_nobody_is_told_about_access(tmp_path: Path) -> None:
    async with running_core(tmp_path) as core:
        reply = await core.ask(message("Who composed the opera Turandot?"))
    assert reply.closing is not None
    assert (reply.closing.text, reply.closing.note) == ("The drive is there [1].", "")

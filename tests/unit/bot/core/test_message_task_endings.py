"""However a message ends, its author reads of it, the engine is free and the journal is closed."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.core.errors import ReaderGone, ReplyFailed
from bot.core.messages import FinalAnswer, Message, PostedPart
from bot.core.ports import RecordPart
from bot.core.texts import localize
from tests.fakes.core import Core, RecoveryAdapter, running_core
from tests.fakes.engine import ScriptedEngine
from tests.fakes.messages import message
from tests.fakes.reply import RecordingReply
from tests.fakes.until import rounds, until

SHELF = "The backup drive lives on shelf Heron, next to the label printer."
WHERE = "On which shelf is the backup drive?"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "documents" / "handbook").mkdir(parents=True)
    (tmp_path / "documents" / "handbook" / "handbook.txt").write_text(SHELF)
    return tmp_path


class HeldReply(RecordingReply):
    """A reply whose last call returns when `gate` is set, and then raises `error` if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.error = error
        self.asked = asyncio.Event()

    async def finish(self, closing: FinalAnswer) -> None:
        await self._hold()
        await super().finish(closing)

    async def fail(self, sentence: str) -> None:
        await self._hold()
        await super().fail(sentence)

    async def _hold(self) -> None:
        self.asked.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error


async def states(core: Core) -> dict[str, str]:
    """The state of each message in the journal, by event id."""
    return dict(await core.history._database.fetch_rows("SELECT event_id, state FROM messages"))


async def held(core: Core, question: Message, reply: RecordingReply) -> None:
    """Hand a message in with its reply."""
    await core.inbox.handle(question, reply)


async def test_a_reader_who_takes_the_end_slowly_holds_no_place_at_the_model(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    slow = HeldReply()
    async with running_core(house, engine=engine) as core:
        await held(core, message(WHERE, "1"), slow)
        await until(lambda: bool(slow.pieces))
        assert await core.inbox.stop_answer(message("").conversation, "1")
        await slow.asked.wait()
        engine.gate.set()
        other = await core.send(message(WHERE, "2", author="ben", conversation="console:b"))
        await other.ended.wait()
        assert not slow.ended.is_set()
        slow.gate.set()
        await core.inbox.wait_until_idle()
    assert other.closing is not None


async def test_who_is_kicked_while_an_answer_is_stopped_leaves_no_open_message(
    house: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        reply = await core.send(message(WHERE, "1"))
        await until(lambda: bool(reply.pieces))
        reply.refuses_with = "the room is gone"
        assert await core.inbox.stop_answer(message("").conversation, "1")
        await core.inbox.wait_until_idle()
        assert await states(core) == {"1": "failed"}
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_text_that_comes_late_closes_the_journal_all_the_same(house: Path) -> None:
    slow = HeldReply()
    async with running_core(house, send_timeout_s=0.01) as core:
        await held(core, message(WHERE, "1"), slow)
        await core.inbox.wait_until_idle()
        assert await states(core) == {"1": "written"}
        slow.gate.set()
        await slow.ended.wait()
        await _ended(core, "answered")


async def test_a_late_text_that_is_refused_closes_the_journal_too(house: Path) -> None:
    slow = HeldReply(ReplyFailed("the room is gone"))
    async with running_core(house, send_timeout_s=0.01) as core:
        await held(core, message(WHERE, "1"), slow)
        await core.inbox.wait_until_idle()
        slow.gate.set()
        await _ended(core, "failed")


async def _ended(core: Core, state: str) -> None:
    async with asyncio.timeout(60):
        while await states(core) != {"1": state}:
            await asyncio.sleep(0.001)


async def test_a_text_that_is_still_on_its_way_at_the_stop_is_delivered_by_the_next_process(house: Path) -> None:
    async with running_core(house, send_timeout_s=0.01) as core:
        await held(core, message(WHERE, "1"), HeldReply())
        await core.inbox.wait_until_idle()
    async with running_core(house) as core:
        await core.inbox.resume(RecoveryAdapter(core))
        await core.inbox.wait_until_idle()
        assert core.replies["1"].closing is not None
        assert core.engine.prompts == []


async def test_a_full_disk_is_told_also_where_nothing_can_be_recorded(house: Path) -> None:
    async with running_core(house) as core:
        database = core.history._database
        asked = message(WHERE + " " + "x" * 9000, "1")
        await database.execute("PRAGMA query_only = ON")
        reply = await core.ask(asked)
        await database.execute("PRAGMA query_only = OFF")
        assert reply.failure == localize("storage_failed", "en")


async def test_a_disk_that_fills_up_during_the_answer_is_told_and_the_end_is_marked_later(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        database = core.history._database
        reply = await core.send(message(WHERE, "1"))
        await until(lambda: bool(reply.pieces))
        await database.execute("PRAGMA query_only = ON")
        engine.gate.set()
        await core.inbox.wait_until_idle()
        assert reply.failure is not None
        assert reply.failure.endswith(localize("storage_failed", "en"))
        await database.execute("PRAGMA query_only = OFF")
        assert await states(core) == {"1": "answering"}
        await core.ask(message(WHERE, "2"))
        assert await states(core) == {"1": "failed", "2": "answered"}


async def test_a_deleted_question_takes_its_reply_back_and_posts_nothing(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        await core.send(message(WHERE, "1"))
        waiting = await core.send(message(WHERE, "2", author="ben", conversation="console:b"))
        await until(lambda: bool(waiting.places))
        assert await core.inbox.withdraw(message("", conversation="console:b").conversation, "2")
        await waiting.ended.wait()
        engine.gate.set()
        await core.inbox.wait_until_idle()
        assert (await states(core))["2"] == "cancelled"
    assert waiting.calls[-1] == ("discard", None)
    assert (waiting.failure, waiting.closing) == (None, None)


async def test_a_deleted_question_whose_answer_has_begun_keeps_the_text(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        reply = await core.send(message(WHERE, "1"))
        await until(lambda: bool(reply.pieces))
        assert await core.inbox.withdraw(message("").conversation, "1")
        await core.inbox.wait_until_idle()
    assert reply.closing is not None
    assert (reply.closing.text, reply.closing.note) == ("The drive ", "Stopped.")


class RefusingOnce(RecordingReply):
    """A reply whose text the platform does not take; it takes a sentence in its place."""

    async def finish(self, closing: FinalAnswer) -> None:
        raise ReplyFailed("The server's filter refuses the text.")


async def test_a_refused_answer_is_told_once_in_its_place(house: Path) -> None:
    reply = RefusingOnce()
    async with running_core(house) as core:
        await held(core, message(WHERE, "1"), reply)
        await core.inbox.wait_until_idle()
        assert await states(core) == {"1": "failed"}
        later = await core.ask(message(WHERE, "2"))
    assert reply.failure == localize("reply_refused", "en")
    assert later.closing is not None
    assert localize("left_unanswered", "en") not in later.closing.note


async def test_a_question_in_a_muted_room_is_spoken_of_in_the_next_answer_there(house: Path) -> None:
    async with running_core(house) as core:
        muted = RecordingReply("1")
        muted.refuses_with = "Hearth may not write here."
        await held(core, message(WHERE, "1"), muted)
        await core.inbox.wait_until_idle()
        elsewhere = await core.ask(message(WHERE, "2", conversation="console:b"))
        later = await core.ask(message(WHERE, "3"))
        last = await core.ask(message(WHERE, "4"))
        assert await states(core) == {"1": "failed", "2": "answered", "3": "answered", "4": "answered"}
    notes = [reply.closing.note for reply in (elsewhere, later, last) if reply.closing]
    assert notes == ["", localize("left_unanswered", "en"), ""]


async def test_a_reader_who_has_left_is_told_nothing_more(house: Path) -> None:
    class Left(RecordingReply):
        async def working(self) -> None:
            self.calls.append(("working", None))
            raise ReaderGone("The client has closed.")

    async with running_core(house) as core:
        gone = Left("1")
        await held(core, message(WHERE, "1"), gone)
        await core.inbox.wait_until_idle()
        later = await core.ask(message(WHERE, "2"))
        assert await states(core) == {"1": "failed", "2": "answered"}
        assert core.engine.most_running == 1
    assert gone.calls[-1] == ("working", None)
    assert later.closing is not None
    assert later.closing.note == ""


async def test_an_error_in_taking_one_message_is_this_message_s_alone(
    house: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_core(house) as core:
        receive = core.history.journal.receive_message

        async def receive_message(asked: Message) -> bool:
            if asked.event_id == "1":
                raise ZeroDivisionError("surprise")
            return await receive(asked)

        core.history.journal.receive_message = receive_message  # type: ignore[method-assign]
        first = await core.ask(message(WHERE, "1"))
        second = await core.ask(message(WHERE, "2"))
    assert first.failure == localize("unexpected", "en")
    assert second.closing is not None
    assert "surprise" in caplog.text


async def test_one_message_that_cannot_be_resumed_does_not_keep_the_others(
    house: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Forgetful(RecoveryAdapter):
        def reply_to(self, message: Message) -> RecordingReply:
            if message.event_id == "1":
                raise KeyError("channel")
            return super().reply_to(message)

    async with running_core(house) as core:
        for number in ("1", "2"):
            await core.history.journal.receive_message(message(WHERE, number, conversation=f"console:{number}"))
        resumed = await core.inbox.resume(Forgetful(core))
        await core.inbox.wait_until_idle()
    assert [each.message.event_id for each in resumed] == ["2"]
    assert core.replies["2"].closing is not None
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "Could not resume console 1"
    ]


async def test_a_reply_that_never_opens_holds_up_nobody(house: Path) -> None:
    class Slow(RecordingReply):
        async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
            await asyncio.Event().wait()

    async with running_core(house, send_timeout_s=0.05) as core:
        await held(core, message(WHERE, "1"), Slow("1"))
        other = await core.send(message(WHERE, "2", author="ben", conversation="console:b"))
        await other.ended.wait()
        await core.inbox.wait_until_idle()
        await rounds()
        assert await states(core) == {"1": "failed", "2": "answered"}

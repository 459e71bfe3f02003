"""The journal keeps every message until its answer has ended, and its id for ever."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.epochs import Epochs
from bot.core.history import MIGRATIONS, History
from bot.core.journal import Journal, Origin, message_key
from bot.core.messages import Attachment, ContextMessage, ConversationId, FinalAnswer, PostedPart, Source, Timings
from knowledge.passages import PassageLocation
from knowledge.sqlite import Database
from tests.fakes.messages import message

SOURCE = Source(1, "handbook", "a.md", "A", PassageLocation(heading=("B", "C"), page=2, start=3, end=9), "text", 0.5)
ORIGIN = Origin(frozenset({"handbook"}))
CLOSING = FinalAnswer("On the shelf.", (SOURCE,), "A note.", Timings(total_s=1.5, generated_tokens=4))


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    opened = await History.open(tmp_path / "history.sqlite3")
    yield opened
    await opened.close()


async def test_a_message_is_received_once(history: History) -> None:
    assert await history.journal.receive_message(message("Where?"))
    assert not await history.journal.receive_message(message("Where?"))
    assert await history.journal.receive_message(message("Where?", conversation="discord:1"))


async def test_a_message_left_open_comes_back_as_it_was(history: History) -> None:
    sent = message("Où ?", admin=True, attachments=(Attachment("a.txt", "text/plain", b"\x00x"),))
    await history.journal.receive_message(sent)
    assert await history.journal.open_messages("console") == [sent]
    assert await history.journal.open_messages("discord") == []


async def test_messages_left_open_come_back_oldest_first(history: History) -> None:
    for number in range(12):
        await history.journal.receive_message(message("Where?", str(number)))
    left = await history.journal.open_messages("console")
    assert [each.event_id for each in left] == [str(number) for number in range(12)]


async def test_dying_while_answering_counts_as_a_crash_and_dying_while_waiting_does_not(history: History) -> None:
    sent = message("Where?")
    await history.journal.receive_message(sent)
    assert (await history.journal.reopen_message(message_key(sent))).crashes == 0
    await history.journal.mark_answering(message_key(sent))
    await history.journal.record_part(message_key(sent), PostedPart(0, "p0"))
    attempt = await history.journal.reopen_message(message_key(sent))
    assert (attempt.number, attempt.crashes, attempt.posted) == (3, 1, (PostedPart(0, "p0"),))
    assert not attempt.crashed_too_often
    await history.journal.mark_answering(message_key(sent))
    assert (await history.journal.reopen_message(message_key(sent))).crashed_too_often


async def test_a_stop_in_good_order_is_no_crash(history: History) -> None:
    sent = message("Where?")
    await history.journal.receive_message(sent)
    await history.journal.mark_answering(message_key(sent))
    await history.journal.requeue_message(message_key(sent))
    assert (await history.journal.reopen_message(message_key(sent))).crashes == 0


async def test_a_written_answer_is_kept_whole_until_it_has_ended(history: History) -> None:
    sent = message("Where?")
    await history.journal.receive_message(sent)
    await history.journal.mark_answering(message_key(sent))
    await history.journal.write_answer(sent, CLOSING, "answered", ORIGIN, keep_turns=True)
    assert (await history.journal.reopen_message(message_key(sent))).written == CLOSING
    await history.journal.mark_ended(message_key(sent))
    assert await history.journal.open_messages("console") == []
    assert not await history.journal.receive_message(sent)


async def test_turns_of_an_answer_that_never_ended_are_not_read(history: History) -> None:
    first, second = message("Where?", "1"), message("When?", "2")
    for sent in (first, second):
        await history.journal.receive_message(sent)
        await history.journal.mark_answering(message_key(sent))
        await history.journal.write_answer(sent, CLOSING, "answered", ORIGIN, keep_turns=True)
    await history.journal.mark_ended(message_key(first))
    await history.journal.mark_ended(message_key(second), "failed")
    assert [turn.text for turn in await history.past_turns(first.conversation)] == ["Where?", "On the shelf."]


async def test_what_a_command_of_the_platform_asked_stays_until_it_is_forgotten(
    history: History, tmp_path: Path
) -> None:
    by_command = replace(
        message("the zanzibar account", "1"), command="ask", context=(ContextMessage("Ben", "mozambique"),)
    )
    for sent in (by_command, message("Where?", "2"), replace(message("", "3"), command="stats")):
        await history.journal.receive_message(sent)
    assert await history.question_text(by_command.conversation, "1") == "the zanzibar account"
    assert await history.question_text(by_command.conversation, "2") is None
    for event_id in ("1", "2", "3"):
        await history.journal.mark_ended(("console", event_id), "failed")
    assert await history.question_text(by_command.conversation, "1") == "the zanzibar account"
    assert await history.question_text(ConversationId("console:other"), "1") is None
    assert await history.question_text(by_command.conversation, "2") is None
    assert await history.question_text(by_command.conversation, "3") is None
    await history.erasure.erase_person("ana")
    await history.erasure.shrink()
    assert await history.question_text(by_command.conversation, "1") is None
    for file in tmp_path.iterdir():
        assert b"zanzibar" not in file.read_bytes()
        assert b"mozambique" not in file.read_bytes()


async def test_a_history_of_the_first_schema_is_taken_over(tmp_path: Path) -> None:
    first = tmp_path / "migrations"
    first.mkdir()
    (first / "0001_first.sql").write_bytes((MIGRATIONS / "0001_journal_and_turns.sql").read_bytes())
    old = await Database.open(tmp_path / "history.sqlite3", first)
    sent = replace(message("Where?"), command="ask")
    await Journal(old, Epochs()).receive_message(sent)
    await old.close()
    opened = await History.open(tmp_path / "history.sqlite3")
    assert await opened.journal.open_messages("console") == [sent]
    await opened.journal.mark_ended(message_key(sent))
    assert await opened.question_text(sent.conversation, "1") == "Where?"
    await opened.close()


async def test_forgetting_leaves_ids_only_and_says_how_much_went(history: History, tmp_path: Path) -> None:
    secret = "the zanzibar account"
    mine, theirs = message(secret, "1"), message("When?", "2", author="ben")
    for sent in (mine, theirs):
        await history.journal.receive_message(sent)
        await history.journal.mark_answering(message_key(sent))
        await history.journal.write_answer(sent, CLOSING, "answered", ORIGIN, keep_turns=True)
        await history.journal.mark_ended(message_key(sent))
    gone = await history.erasure.erase_person("ana")
    await history.erasure.shrink()
    assert (gone.questions, gone.turns) == (1, 2)
    assert [key for _, key in await history.erasure.forgotten_states()] == [mine.conversation]
    assert [turn.speaker for turn in await history.past_turns(mine.conversation)] == ["Ben", ""]
    assert not await history.journal.receive_message(mine)
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


async def test_an_answer_forgotten_while_it_is_made_leaves_nothing(history: History) -> None:
    sent = message("Where?", attachments=(Attachment("a.txt", "text/plain", b"x"),))
    await history.journal.receive_message(sent)
    await history.journal.mark_answering(message_key(sent))
    gone = await history.erasure.erase_conversation(sent.conversation)
    assert gone.attachments == 1
    assert not await history.journal.write_answer(sent, CLOSING, "answered", ORIGIN, keep_turns=True)
    newest = replace(ORIGIN, epoch=history.epochs.current(sent.conversation))
    assert await history.journal.write_answer(sent, CLOSING, "answered", newest, keep_turns=True)
    await history.journal.mark_ended(message_key(sent))
    assert await history.past_turns(sent.conversation) == []
    assert await history.last_sources(sent.conversation, sent.audience, "ana") is None


async def test_dropped_turns_leave_the_prompt_and_stay_until_forgotten(history: History) -> None:
    for number in range(3):
        sent = message("Where?", str(number))
        await history.journal.receive_message(sent)
        await history.journal.mark_answering(message_key(sent))
        await history.journal.write_answer(sent, CLOSING, "answered", ORIGIN, keep_turns=True)
    turns = await history.past_turns(sent.conversation)
    await history.drop_turns_before(sent.conversation, turns[2].id)
    assert await history.past_turns(sent.conversation) == turns[2:]
    assert (await history.erasure.erase_conversation(sent.conversation)).turns == 6


async def test_an_ignored_message_leaves_its_id_and_nothing_else(history: History, tmp_path: Path) -> None:
    sent = message("zanzibar", attachments=(Attachment("a.txt", "text/plain", b"zanzibar"),))
    assert await history.journal.receive_message(sent)
    await history.journal.mark_ignored(message_key(sent))
    assert await history.journal.open_messages("console") == []
    assert not await history.journal.receive_message(message("zanzibar"))
    await history.close()
    assert all(b"zanzibar" not in file.read_bytes() for file in tmp_path.iterdir())

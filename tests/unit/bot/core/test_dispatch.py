"""A message flows through the core: answered once, in order, stoppable, and never met with silence."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.messages import Attachment, ContextMessage, Message, Person
from bot.core.texts import localize
from models.engine import EngineFailed, Prompt, ThinkingText
from tests.fakes.core import Core, RecoveryAdapter, running_core
from tests.fakes.engine import ScriptedEngine
from tests.fakes.messages import message
from tests.fakes.reply import FakePlatform

SHELF = "The backup drive lives on shelf Heron, next to the label printer."


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A data folder with two collections of one document each."""
    for name, text in {"handbook": SHELF, "garden": "The sprinkler waters the tomatoes at dawn."}.items():
        (tmp_path / "documents" / name).mkdir(parents=True)
        (tmp_path / "documents" / name / f"{name}.txt").write_text(text)
    return tmp_path


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_question_is_answered_from_the_documents_with_its_sources(house: Path) -> None:
    async with running_core(house) as core:
        reply = await core.ask(message("On which shelf is the backup drive?"))
    assert reply.closing is not None
    assert reply.closing.text == "The drive is there [1]."
    assert [source.document for source in reply.closing.sources] == ["handbook.txt"]
    assert SHELF in core.engine.prompts[0].tail
    assert core.observer.outcomes == ["answered"]


async def test_a_repeated_message_is_not_answered_again(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("On which shelf is the backup drive?"))
        again = await core.ask(message("On which shelf is the backup drive?"))
    assert again.calls == []
    assert len(core.engine.prompts) == 1


async def test_a_follow_up_reads_the_turns_before_it(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("On which shelf is the backup drive?", "1"))
        await core.ask(message("And what is next to it?", "2"))
    turns = core.engine.prompts[1].history
    assert [turn.text for turn in turns] == ["On which shelf is the backup drive?", "The drive is there [1]."]
    assert SHELF in core.engine.prompts[1].tail, "the follow-up is searched with the question before it"


async def test_nothing_found_is_said_with_where_was_looked_and_without_the_model(house: Path) -> None:
    async with running_core(house) as core:
        reply = await core.ask(message("Who composed the opera Turandot?"))
    assert reply.closing is not None
    assert reply.closing.text == localize("nothing_found", "en", collections="garden, handbook")
    assert core.engine.prompts == []
    assert core.observer.outcomes == ["unsupported"]


async def test_a_collection_is_not_read_to_an_audience_that_its_readers_do_not_name(house: Path) -> None:
    readers = {"handbook": ["console"], "garden": ["everyone"]}
    async with running_core(house, readers=readers, when_nothing_found="answer") as core:
        stranger = message("On which shelf is the backup drive?", names=frozenset({"discord:9"}))
        reply = await core.ask(stranger)
    assert reply.closing is not None
    assert reply.closing.sources == ()
    assert SHELF not in core.engine.prompts[0].tail


async def test_a_turn_whose_collection_its_audience_has_lost_leaves_the_prompt(house: Path) -> None:
    readers = {"handbook": ["console"], "garden": ["everyone"]}
    async with running_core(house, readers=readers, when_nothing_found="answer") as core:
        await core.ask(message("On which shelf is the backup drive?", "1"))
        await core.ask(message("And what is next to it?", "2", names=frozenset({"discord:9"})))
    assert core.engine.prompts[1].history == ()
    assert set(core.engine.forgotten) == {"console:room"}


async def test_answers_in_a_conversation_come_in_order_and_the_second_is_told_its_place(house: Path) -> None:
    engine = ScriptedEngine(capacity=2)
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        first = await core.send(message("On which shelf is the backup drive?", "1", private=False))
        await until(lambda: engine.running == 1)
        second = await core.send(message("Where is the backup drive?", "2", author="ben", private=False))
        await until(lambda: bool(second.places))
        assert not first.ended.is_set()
        assert second.pieces == []
        engine.gate.set()
        await core.inbox.wait_until_idle()
    assert second.places[0] == 1
    assert engine.most_running == 1
    assert len(core.engine.prompts[1].history) == 2


async def test_conversations_are_answered_side_by_side_up_to_the_engines_capacity(house: Path) -> None:
    engine = ScriptedEngine(capacity=2)
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        for number in range(3):
            asked = message("Where is the backup drive?", str(number), conversation=f"console:{number}")
            await core.send(asked)
        await until(lambda: engine.running == 2)
        engine.gate.set()
        await core.inbox.wait_until_idle()
    assert engine.most_running == 2
    assert all(reply.closing for reply in core.replies.values())


async def test_a_stopped_answer_keeps_its_text_and_frees_the_engine(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        reply = await core.send(message("On which shelf is the backup drive?", "1"))
        await until(lambda: bool(reply.pieces))
        stopping = await core.send(message("!stop", "2"))
        await core.inbox.wait_until_idle()
        engine.gate.set()
        later = await core.ask(message("On which shelf is the backup drive?", "3"))
    assert reply.closing is not None
    assert (reply.closing.text, reply.closing.note) == ("The drive ", "Stopped.")
    assert stopping.closing is not None
    assert stopping.closing.text == "Answers stopped: 1."
    assert later.closing is not None
    assert engine.running == 0


async def test_a_person_cannot_stop_anothers_answer_and_an_admin_can(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        reply = await core.send(message("On which shelf is the backup drive?", "1"))
        await until(lambda: bool(reply.pieces))
        other = await core.send(message("!stop", "2", author="ben"))
        await other.ended.wait()
        assert not reply.ended.is_set()
        await core.ask(message("!stop", "3", author="eve", admin=True))
    assert reply.closing is not None
    assert reply.closing.note == "Stopped."


async def test_a_question_stopped_while_it_waits_is_told_so(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        await core.send(message("On which shelf is the backup drive?", "1"))
        waiting = await core.send(message("Where is the backup drive?", "2", author="ben", conversation="console:b"))
        await until(lambda: bool(waiting.places))
        assert await core.inbox.stop_answer(message("", conversation="console:b").conversation, "2")
        await waiting.ended.wait()
        engine.gate.set()
        await core.inbox.wait_until_idle()
    assert waiting.failure == "Stopped."
    assert len(engine.prompts) == 1


async def test_an_engine_that_fails_is_told_in_a_sentence_below_the_text(house: Path) -> None:
    engine = ScriptedEngine()
    engine.fails_with = EngineFailed("The worker died.")
    async with running_core(house, engine=engine) as core:
        reply = await core.ask(message("Où est rangé le disque de sauvegarde backup drive ?"))
        engine.fails_with = None
        again = await core.ask(message("On which shelf is the backup drive?", "2"))
    assert reply.failure == localize("engine_failed", "fr")
    assert again.closing is not None
    assert core.engine.prompts[1].history == (), "a failed answer is no part of the history"
    assert core.observer.failures == ["engine"]


async def test_an_error_nobody_expected_still_gets_a_sentence(house: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = ScriptedEngine()
    engine.fails_with = ZeroDivisionError("surprise")
    async with running_core(house, engine=engine) as core:
        reply = await core.ask(message("On which shelf is the backup drive?"))
    assert reply.failure == localize("unexpected", "en")
    assert "surprise" in caplog.text


async def test_a_silent_model_is_given_up(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine, generation_stall_timeout_s=0.05) as core:
        reply = await core.ask(message("On which shelf is the backup drive?"))
    assert reply.failure == localize("engine_silent", "en")


async def test_a_model_that_answers_nothing_is_told(house: Path) -> None:
    async with running_core(house, engine=ScriptedEngine(lambda _: [" "])) as core:
        reply = await core.ask(message("On which shelf is the backup drive?"))
        assert await core.history.past_turns(message("").conversation) == []
    assert reply.closing is not None
    assert reply.closing.text == localize("empty_answer", "en")


async def test_a_question_longer_than_the_context_is_refused_with_both_figures(house: Path) -> None:
    async with running_core(house) as core:
        reply = await core.ask(message("backup drive " * 1500))
    assert reply.failure is not None
    assert "3000 tokens" in reply.failure
    assert core.engine.prompts == []


async def test_an_empty_question_gets_a_sentence(house: Path) -> None:
    async with running_core(house) as core:
        reply = await core.ask(message("  "))
    assert reply.closing is not None
    assert reply.closing.text == localize("empty_question", "en")


async def test_one_person_cannot_fill_the_queue(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine, open_questions_per_person=2) as core:
        for number in range(3):
            await core.send(message("Where is the backup drive?", str(number), conversation=f"console:{number}"))
        refused = core.replies["2"]
        await refused.ended.wait()
        engine.gate.set()
        await core.inbox.wait_until_idle()
    assert refused.closing is not None
    assert refused.closing.text == localize("too_many_waiting", "en", limit=2)


def in_room(text: str, event_id: str, author: str = "ana") -> Message:
    return message(text, event_id, author=author, private=False)


async def test_a_person_who_runs_wild_is_paused_and_told_once(house: Path) -> None:
    async with running_core(house, flood_answers_per_minute=2, flood_pause_s=600) as core:
        replies = [await core.ask(in_room("Where is the backup drive?", str(number))) for number in range(5)]
    assert [bool(reply.calls) for reply in replies] == [True, True, True, False, False]
    assert replies[2].closing is not None
    assert replies[2].closing.text == localize("pace_paused", "en", minutes=10)


async def test_a_pause_leaves_stop_forget_and_other_people_alone(house: Path) -> None:
    async with running_core(house, flood_answers_per_minute=1, flood_pause_s=600) as core:
        for number in range(3):
            await core.ask(in_room("Where is the backup drive?", str(number)))
        other = await core.ask(in_room("Where is the backup drive?", "3", author="bob"))
        stopped = await core.ask(in_room("!stop", "4"))
        forgotten = await core.ask(in_room("!forget", "5"))
    assert [reply.closing is not None for reply in (other, stopped, forgotten)] == [True, True, True]
    assert forgotten.closing is not None
    assert forgotten.closing.text.startswith("Forgotten: ")


async def test_many_commands_do_not_pause_questions(house: Path) -> None:
    async with running_core(house, flood_answers_per_minute=2, flood_pause_s=600) as core:
        helped = [await core.ask(in_room("!help", str(number))) for number in range(5)]
        answered = await core.ask(in_room("Where is the backup drive?", "5"))
    assert [bool(reply.calls) for reply in helped] == [True, True, True, False, False]
    assert answered.closing is not None
    assert answered.closing.text == "The drive is there [1]."


async def test_messages_that_a_platform_repeats_do_not_pause_a_conversation(house: Path) -> None:
    async with running_core(house, flood_answers_per_minute=3, flood_pause_s=600) as core:
        await core.ask(message("On which shelf is the backup drive?", "1"))
        for _ in range(5):
            await core.ask(message("On which shelf is the backup drive?", "1"))
        fresh = await core.ask(message("And the sprinkler?", "2"))
    assert fresh.closing is not None
    assert fresh.closing.text == "The drive is there [1]."


async def test_a_platform_that_refuses_the_reply_ends_the_answer(house: Path) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        reply = await core.send(message("Where is the backup drive?"))
        await until(lambda: bool(reply.pieces))
        reply.refuses_with = "the channel was deleted"
        engine.gate.set()
        await core.inbox.wait_until_idle()
        assert await core.history.journal.open_messages("console") == []
    assert engine.running == 0


async def test_what_was_left_open_is_answered_into_the_same_reply_after_a_restart(house: Path) -> None:
    engine, platform = ScriptedEngine(), FakePlatform()
    engine.gate.clear()
    async with running_core(house, engine=engine, platform=platform) as core:
        reply = await core.send(message("Where is the backup drive?"))
        await until(lambda: bool(reply.pieces))
    assert not reply.ended.is_set()
    async with running_core(house, platform=platform) as core:
        resumed = await core.inbox.resume(RecoveryAdapter(core))
        assert [(each.message.event_id, each.ended.done()) for each in resumed] == [("1", False)]
        await core.inbox.wait_until_idle()
        assert resumed[0].ended.done()
        assert await core.inbox.resume(RecoveryAdapter(core)) == []
    assert core.replies["1"].attempt == 2
    assert list(platform.parts.values()) == ["The drive is there [1]."]


async def test_an_answer_written_before_a_crash_is_delivered_and_not_made_again(house: Path) -> None:
    platform = FakePlatform()
    async with running_core(house, platform=platform) as core:
        reply = core.replies["1"] = await _crash_in_delivery(core)
    assert reply.closing is None
    async with running_core(house, platform=platform) as core:
        await core.inbox.resume(RecoveryAdapter(core))
        await core.inbox.wait_until_idle()
        turns = await core.history.past_turns(message("").conversation)
    assert core.engine.prompts == []
    assert core.replies["1"].closing is not None
    assert core.replies["1"].closing.sources[0].document == "handbook.txt"
    assert len(turns) == 2


async def _crash_in_delivery(core: Core):  # type: ignore[no-untyped-def]
    """Leave the journal as a kill between writing an answer and delivering it does."""
    from bot.core.journal import Origin, message_key
    from bot.core.messages import FinalAnswer, Source
    from knowledge.passages import PassageLocation
    from tests.fakes.reply import RecordingReply

    asked = message("Where is the backup drive?")
    await core.history.journal.receive_message(asked)
    await core.history.journal.mark_answering(message_key(asked))
    source = Source(1, "handbook", "handbook.txt", "", PassageLocation(), SHELF, 1.0)
    origin = Origin(frozenset({"handbook"}))
    await core.history.journal.write_answer(asked, FinalAnswer("There [1].", (source,)), "answered", origin, True)
    return RecordingReply()


async def test_a_question_that_crashed_the_process_twice_is_given_up_with_a_sentence(house: Path) -> None:
    async with running_core(house) as core:
        asked = message("Where is the backup drive?")
        await core.history.journal.receive_message(asked)
        for _ in range(2):
            await core.history.journal.mark_answering(("console", "1"))
            attempt = await core.history.journal.reopen_message(("console", "1"))
        assert attempt is not None
        assert attempt.crashed_too_often
        await core.inbox.resume(RecoveryAdapter(core))
        await core.inbox.wait_until_idle()
        assert await core.history.journal.open_messages("console") == []
    assert core.replies["1"].failure == localize("crashed_twice", "en")
    assert core.engine.prompts == []


async def test_an_attached_file_is_read_for_this_answer_only(house: Path) -> None:
    file = Attachment("note.txt", "text/plain", b"The boiler code is amber seven.")
    async with running_core(house) as core:
        reply = await core.ask(message("What is the boiler code?", attachments=(file,)))
        await core.ask(message("Where is the backup drive?", "2"))
    assert "amber seven" in core.engine.prompts[0].tail
    assert "amber seven" not in core.engine.prompts[1].tail
    assert reply.closing is not None
    assert reply.closing.sources[0].document == "note.txt"


async def test_of_a_long_attached_file_a_part_is_read_and_the_limit_is_named(house: Path) -> None:
    file = Attachment("note.txt", "text/plain", b"The boiler code is amber seven.\n\n" * 40)
    async with running_core(house, passage_tokens=60) as core:
        reply = await core.ask(message("What is the boiler code?", attachments=(file,)))
    assert reply.closing is not None
    assert reply.closing.note == localize("attachment_cut", "en", limit=60)


async def test_a_file_that_did_not_come_is_named_also_where_nothing_is_found(house: Path) -> None:
    file = Attachment.not_fetched("plan.pdf")
    async with running_core(house) as core:
        reply = await core.ask(message("Who composed the opera Turandot?", attachments=(file,)))
    assert reply.closing is not None
    assert reply.closing.text == localize("nothing_found", "en", collections="garden, handbook")
    assert reply.closing.note == localize("attachment_not_fetched", "en", name="plan.pdf")


async def test_a_file_that_cannot_be_read_is_named_with_the_reason(house: Path) -> None:
    file = Attachment("note.txt", "text/plain", b"unreadable")
    async with running_core(house) as core:
        reply = await core.ask(message("Where is the backup drive?", attachments=(file,)))
    assert reply.closing is not None
    assert "note.txt: It says itself that it is unreadable." in reply.closing.note


async def test_a_room_is_answered_with_the_speakers_names_in_the_prompt(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("Where is the backup drive?", "1", private=False))
        await core.ask(message("Where is the backup drive, again?", "2", author="ben", private=False))
    prompt = core.engine.prompts[1]
    assert prompt.history[0].text == "Ana: Where is the backup drive?"
    assert prompt.tail.endswith("Ben: Where is the backup drive, again?")


async def test_a_long_history_is_dropped_by_halves_and_stays_dropped(house: Path) -> None:
    def long_winded(prompt: Prompt) -> list[str]:
        return ["word "] * 60

    async with running_core(house, engine=ScriptedEngine(long_winded), history_tokens=400) as core:
        for number in range(12):
            await core.ask(message("Where is the backup drive?", str(number)))
    lengths = [len(prompt.history) for prompt in core.engine.prompts]
    assert max(lengths) <= 10
    grown = [after - before for before, after in itertools.pairwise(lengths)]
    assert grown.count(2) >= 8, "the prefix only grows for many turns"
    assert min(grown) < 0


async def test_the_next_prompt_is_prepared_while_nobody_waits(house: Path) -> None:
    async with running_core(house) as core:
        await core.ask(message("Where is the backup drive?", "1"))
        await core.ask(message("Is the backup drive large?", "2"))
    prepared, asked = core.engine.prepared[0], core.engine.prompts[1]
    assert (prepared.system, prepared.history) == (asked.system, asked.history)


async def test_bots_get_no_answer_and_leave_no_trace(house: Path) -> None:
    async with running_core(house) as core:
        asked = message("Where is the backup drive?")
        bot = Person("bridge", "Bridge", is_bot=True)
        reply = await core.ask(replace(asked, author=bot))
        assert await core.history.journal.receive_message(asked), "nothing of it was stored"
    assert reply.calls == []


async def test_a_full_disk_is_told_and_the_question_can_be_asked_again(house: Path) -> None:
    async with running_core(house) as core:
        database = core.history._database
        await database.execute("PRAGMA max_page_count = 1")  # SQLite takes it as the size the file has now
        reply = await core.ask(message("Where is the backup drive? " + "x" * 9000, "1"))
        await database.execute("PRAGMA max_page_count = 1000000")
        again = await core.ask(message("Where is the backup drive? " + "x" * 9000, "1"))
    assert reply.failure == localize("storage_failed", "en")
    assert again.closing is not None


async def test_an_answer_that_ended_meanwhile_is_not_resumed(house: Path) -> None:
    async with running_core(house) as core:
        asked = message("Where is the backup drive?")
        await core.ask(asked)
        assert await core.history.journal.reopen_message(("console", "1")) is None


async def test_an_edited_question_starts_over_into_the_same_reply(house: Path) -> None:
    engine = ScriptedEngine(lambda prompt: ["About ", prompt.tail.rpartition("Question: ")[2]])
    engine.gate.clear()
    async with running_core(house, engine=engine) as core:
        reply = await core.send(message("Where is the backup drive?"))
        await until(lambda: bool(reply.pieces))
        assert await core.inbox.revise(message("Where does the backup drive live?"))
        engine.gate.set()
        await core.inbox.wait_until_idle()
        assert not await core.inbox.revise(message("And now?")), "the answer has ended"
        turns = await core.history.past_turns(message("").conversation)
    assert reply.closing is not None
    assert reply.closing.text == "About Where does the backup drive live?"
    assert len(core.platform.posts) == 1
    assert [turn.text for turn in turns] == ["Where does the backup drive live?", reply.closing.text]


async def test_what_was_said_before_is_read_for_this_answer_only(house: Path) -> None:
    async with running_core(house) as core:
        asked = message("What did they decide?")
        before = (
            ContextMessage("Ben", "The sprinkler runs at noon."),
            ContextMessage("Eve", "No, at dawn, it is decided."),
        )
        await core.ask(replace(asked, context=before))
        await core.ask(message("Where is the backup drive?", "2"))
    first, second = core.engine.prompts
    assert "> Ben: The sprinkler runs at noon.\n> Eve: No, at dawn, it is decided." in first.tail
    assert "it is decided" not in second.tail
    assert all("it is decided" not in turn.text for turn in second.history)


async def test_a_command_of_the_platform_needs_no_prefix(house: Path) -> None:
    async with running_core(house) as core:
        stats = await core.ask(replace(message("", "1", admin=True), command="stats"))
        asked = await core.ask(replace(message("Where is the backup drive?", "2"), command="ask"))
    assert stats.closing is not None
    assert "Model: scripted" in stats.closing.text
    assert asked.closing is not None
    assert asked.closing.text == "The drive is there [1]."


async def test_a_stop_in_good_order_lets_deliveries_end_and_leaves_waiting_questions_to_the_next_start(
    house: Path,
) -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    async with running_core(house, engine=engine, shutdown_grace_s=5) as core:
        running = await core.send(message("Where is the backup drive?", "1"))
        await until(lambda: bool(running.pieces))
        waiting = await core.send(message("Where is the backup drive?", "2", conversation="console:b", author="ben"))
        command = await core.send(message("!help", "3"))
        asyncio.get_running_loop().call_later(0.05, engine.gate.set)
    assert running.closing is not None
    assert command.closing is not None
    assert not waiting.ended.is_set()
    async with running_core(house) as core:
        left = await core.history.journal.open_messages("console")
        assert [each.event_id for each in left] == ["2"]


async def test_an_empty_answer_still_says_which_file_could_not_be_read(house: Path) -> None:
    engine = ScriptedEngine(lambda _: [""])
    async with running_core(house, engine=engine) as core:
        asked = message(
            "Where is the backup drive?", attachments=(Attachment("plan.txt", "text/plain", b"unreadable"),)
        )
        reply = await core.ask(asked)
    assert reply.closing is not None
    assert reply.closing.text == localize("empty_answer", "en")
    assert reply.closing.note == "I could not read plan.txt: It says itself that it is unreadable."


async def test_thinking_is_never_part_of_an_answer(house: Path) -> None:
    engine = ScriptedEngine(lambda _: [ThinkingText("The handbook "), ThinkingText("says it."), "On shelf Heron [1]."])
    async with running_core(house, engine=engine) as core:
        reply = await core.ask(message("On which shelf is the backup drive?"))
    assert reply.closing is not None
    assert reply.closing.text == "On shelf Heron [1]."

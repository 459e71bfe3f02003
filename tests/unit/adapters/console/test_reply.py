"""The console's reply: send ids, pace, and what a crash can leave."""

import asyncio

import pytest

from adapters.console.events import QuestionRef
from adapters.console.reply import ConsoleReply
from bot.core.errors import ReplyFailed
from bot.core.messages import FinalAnswer, PostedPart, Source, Timings
from knowledge.passages import PassageLocation
from tests.fakes.channel import MemoryChannel

QUESTION = QuestionRef("kitchen", "q1")


class Journal:
    def __init__(self, channel: MemoryChannel) -> None:
        self.parts: list[PostedPart] = []
        self.seen_at_record: list[int] = []
        self._channel = channel

    async def record(self, part: PostedPart) -> None:
        self.parts.append(part)
        self.seen_at_record.append(len(self._channel.events))


def reply_on(channel: MemoryChannel, interval_s: float = 0.0) -> ConsoleReply:
    return ConsoleReply(QUESTION, channel, interval_s)


async def test_the_first_text_is_posted_under_an_id_derived_from_the_question_and_recorded_right_after() -> None:
    channel = MemoryChannel()
    journal = Journal(channel)
    reply = reply_on(channel)
    await reply.open(1, (), journal.record)
    await reply.finish(FinalAnswer("Shelf Heron."))
    assert channel.of("text") == [
        {"event": "text", "conversation": "kitchen", "event_id": "q1", "send_id": "q1/0", "text": "Shelf Heron."}
    ]
    assert journal.parts == [PostedPart(0, "q1/0")]
    assert journal.seen_at_record == [1]


async def test_edits_name_the_attempt_and_a_revision_and_no_id_comes_twice() -> None:
    channel = MemoryChannel()
    reply = reply_on(channel)
    await reply.open(1, (), Journal(channel).record)
    for piece in "abcdef":
        await reply.append(piece)
        await asyncio.sleep(0.001)
    await reply.finish(FinalAnswer("abcdefg"))
    first, *edits = channel.of("text")
    ids = [edit["send_id"] for edit in edits]
    assert "edits" not in first
    assert ids == [f"q1/0@1.{number}" for number in range(1, len(edits) + 1)]
    assert all(edit["edits"] == "q1/0" for edit in edits)
    assert edits[-1]["text"] == "abcdefg"


async def test_an_answer_that_is_shown_already_is_not_sent_again_at_the_end() -> None:
    channel = MemoryChannel()
    reply = reply_on(channel)
    await reply.open(1, (), Journal(channel).record)
    await reply.append("Shelf Heron.")
    await channel.until("text")
    await asyncio.sleep(0)
    await reply.finish(FinalAnswer("Shelf Heron."))
    assert len(channel.of("text")) == 1


async def test_a_later_attempt_without_a_journaled_part_sends_the_first_id_again_and_then_edits() -> None:
    channel = MemoryChannel()
    journal = Journal(channel)
    reply = reply_on(channel)
    await reply.open(3, (), journal.record)
    await reply.finish(FinalAnswer("Shelf Heron."))
    assert [event["send_id"] for event in channel.of("text")] == ["q1/0", "q1/0@3.1"]
    assert len(journal.parts) == 1


async def test_a_later_attempt_with_a_journaled_part_only_edits() -> None:
    channel = MemoryChannel()
    journal = Journal(channel)
    reply = reply_on(channel)
    await reply.open(2, (PostedPart(0, "q1/0"),), journal.record)
    await reply.finish(FinalAnswer("Shelf Heron."))
    assert [event["send_id"] for event in channel.of("text")] == ["q1/0@2.1"]
    assert journal.parts == []


async def test_a_later_attempt_with_an_empty_answer_clears_what_the_earlier_one_showed() -> None:
    channel = MemoryChannel()
    reply = reply_on(channel)
    await reply.open(2, (PostedPart(0, "q1/0"),), Journal(channel).record)
    await reply.finish(FinalAnswer("", note="Stopped."))
    assert [event["text"] for event in channel.of("text")] == [""]


async def test_pieces_that_come_faster_than_the_pace_are_shown_together() -> None:
    channel = MemoryChannel()
    reply = reply_on(channel, interval_s=30)
    await reply.open(1, (), Journal(channel).record)
    await reply.append("a")
    await channel.until("text")
    for piece in "bcdefgh":
        await reply.append(piece)
        await asyncio.sleep(0)
    await reply.finish(FinalAnswer("abcdefgh"))
    assert [event["text"] for event in channel.of("text")] == ["a", "abcdefgh"]


async def test_a_slow_client_never_holds_up_append() -> None:
    channel = MemoryChannel()
    channel.gate.clear()
    reply = reply_on(channel)
    await reply.open(1, (), Journal(channel).record)
    async with asyncio.timeout(60):
        for _ in range(100):
            await reply.append("x")
            await asyncio.sleep(0)
    channel.gate.set()
    await reply.finish(FinalAnswer("x" * 100))
    assert len(channel.of("text")) == 2


async def test_a_client_that_went_away_is_told_by_the_next_append() -> None:
    channel = MemoryChannel()
    reply = reply_on(channel)
    await reply.open(1, (), Journal(channel).record)
    channel.gone = True
    await reply.append("a")
    await asyncio.sleep(0.01)
    with pytest.raises(ReplyFailed):
        await reply.append("b")


async def test_finished_carries_text_sources_and_timings() -> None:
    channel = MemoryChannel()
    place = PassageLocation(heading=("Backup", "Drives"), page=3)
    source = Source(1, "handbook", "disks.md", "Disks", place, "The drive is on shelf Heron.", 0.123456789)
    reply = reply_on(channel)
    await reply.open(1, (), Journal(channel).record)
    await reply.finish(FinalAnswer("Shelf Heron [1].", (source,), "A note.", Timings(total_s=1.5, generated_tokens=7)))
    (event,) = channel.of("finished")
    assert (event["text"], event["note"], event["attempt"]) == ("Shelf Heron [1].", "A note.", 1)
    assert event["sources"][0]["place"] == {
        "heading": ["Backup", "Drives"],
        "page": 3,
        "row": None,
        "start": 0,
        "end": 0,
    }
    assert event["sources"][0]["score"] == 0.123457
    assert event["sources"][0]["passage"] == "The drive is on shelf Heron."
    assert event["timings"]["generated_tokens"] == 7


async def test_waiting_tells_each_place_and_working_types_once() -> None:
    channel = MemoryChannel()
    reply = reply_on(channel)
    await reply.open(1, (), Journal(channel).record)
    await reply.waiting(2, 4.0, "Second.")
    await reply.waiting(1, None, "Next.")
    await reply.working()
    await reply.working()
    assert [(event["place"], event["wait_s"]) for event in channel.of("queued")] == [(2, 4.0), (1, None)]
    assert len(channel.of("typing")) == 1


async def test_failed_carries_the_sentence_and_all_that_is_shown() -> None:
    channel = MemoryChannel()
    reply = reply_on(channel)
    await reply.open(1, (), Journal(channel).record)
    await reply.append("The drive is")
    await reply.fail("The model stopped.")
    (event,) = channel.of("failed")
    assert event["sentence"] == "The model stopped."
    assert event["text"] == "The drive is\n\nThe model stopped."
    assert channel.shown() == {"q1/0": event["text"]}

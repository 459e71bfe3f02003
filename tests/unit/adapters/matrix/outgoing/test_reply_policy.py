"""An answer on Matrix, over a room in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.delivery import live_reply as reply_module
from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.delivery.live_reply import LiveReply
from adapters.matrix.limits import MAX_EDITS
from adapters.matrix.outgoing import rate_limiter as limiter_module
from adapters.matrix.outgoing import reply_policy as policy_module
from adapters.matrix.outgoing.html import render_html
from adapters.matrix.outgoing.layout import MatrixPart
from adapters.matrix.outgoing.leaky_bucket import LeakyBucket
from adapters.matrix.outgoing.rate_limiter import ReplyQuota, SendRateLimiter
from adapters.matrix.outgoing.reply_policy import MatrixReplyPolicy
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment, FinalAnswer, PostedPart, Source, Timings
from knowledge.passages import PassageLocation
from tests.fakes.matrix_place import MemoryRoom

QUESTION = "$question"
TOOK_TIME = Timings(total_s=1.0)


class Notes:
    def __init__(self) -> None:
        self.parts: list[PostedPart] = []

    async def record(self, part: PostedPart) -> None:
        self.parts.append(part)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_module, "RETRY_AFTER_S", 0.0)
    monkeypatch.setattr(limiter_module, "EDIT_GAP_S", 1e-9)
    monkeypatch.setattr(limiter_module, "LONG_ANSWER_S", 1e-9)


def lifted() -> SendRateLimiter:
    bucket = LeakyBucket()
    bucket.lifted = True
    return SendRateLimiter(bucket)


async def begun(room: MemoryRoom, notes: Notes | None = None, attempt: int = 1) -> LiveReply[MatrixPart]:
    notes = notes or Notes()
    reply = LiveReply(QUESTION, room, MatrixReplyPolicy(ReplyQuota(lifted())))
    await reply.open(attempt, tuple(notes.parts), notes.record)
    return reply


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def test_the_question_is_read_and_typing_shown_at_once_and_until_the_end() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    assert (room.begins, room.rests) == (1, 0)
    await reply.append("The key is here. And")
    await settled()
    assert room.texts() == ["The key is here. And"]
    assert room.rests == 0
    await reply.finish(FinalAnswer("The key is here."))
    assert room.rests == 1


async def test_a_reply_has_no_more_edits_than_a_room_can_bear() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    await reply.append("It is here. ")
    await until(lambda: room.requests == ["send"])
    for number in range(MAX_EDITS - limiter_module.RESERVED_EDITS):
        await reply.append(f"Line {number}. ")
        await until(lambda: room.requests.count("edit") == number + 1)  # noqa: B023 - awaited within the round
    await reply.append("One more. ")
    await asyncio.sleep(0.05)
    await reply.finish(FinalAnswer("All said."))
    assert room.texts() == ["All said."]
    assert room.requests.count("edit") == MAX_EDITS - limiter_module.RESERVED_EDITS + 1


async def test_places_in_the_queue_use_few_edits_and_the_answer_is_a_message_of_its_own() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    for told in range(policy_module.MAX_QUEUE_EDITS + 1):
        await reply.waiting(12 - told, 20.0, f"You are number {12 - told}.")
        await until(lambda: len(room.history) == told + 1)  # noqa: B023 - awaited within the round
    await reply.waiting(2, 20.0, "You are number 2.")
    await asyncio.sleep(0.02)
    assert room.texts() == ["You are number 8."]
    assert [(part.notice, part.first) for part in room.parts.values()] == [(True, False)]
    await reply.append("Shelf Heron. ")
    await until(lambda: room.texts() == ["Shelf Heron. "])
    assert [(part.notice, part.first) for part in room.parts.values()] == [(False, True)]
    assert room.requests[-2:] == ["send", "redact"]
    await reply.finish(FinalAnswer("Shelf Heron.", timings=TOOK_TIME))
    assert room.texts() == ["Shelf Heron."]
    assert room.requests.count("send") == 2


PLACE = "You are number 2."


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (lambda reply: reply.finish(FinalAnswer("Shelf Heron.", timings=TOOK_TIME)), "Shelf Heron."),
        (lambda reply: reply.fail("Stopped."), "Stopped."),
    ],
)
async def test_an_end_without_a_text_before_takes_the_place_in_the_queue_away_too(
    end: Callable[[LiveReply[MatrixPart]], Awaitable[None]], text: str
) -> None:
    room = MemoryRoom()
    reply = await begun(room)
    await reply.waiting(2, 20.0, PLACE)
    await until(lambda: room.texts() == [PLACE])
    await end(reply)
    assert room.texts() == [text]
    assert room.requests == ["send", "send", "redact"]


@pytest.mark.parametrize("recorded", [True, False])
async def test_after_a_restart_the_place_in_the_queue_goes_and_one_answer_is_left(recorded: bool) -> None:
    room, notes = MemoryRoom(), Notes()
    first = await begun(room, notes)
    await first.waiting(2, 20.0, PLACE)
    await until(lambda: bool(notes.parts))
    await first.abandon()
    if not recorded:
        notes.parts.clear()
    again = await begun(room, notes, attempt=2)
    await again.finish(FinalAnswer("Shelf Heron.", timings=TOOK_TIME))
    assert room.texts() == ["Shelf Heron."]
    assert room.requests.count("redact") == int(recorded)


@pytest.mark.parametrize("recorded", [True, False])
async def test_an_answer_that_was_sent_beside_the_place_in_the_queue_is_not_sent_again(recorded: bool) -> None:
    room, notes = MemoryRoom(), Notes()
    for number, part in ((-1, MatrixPart(PLACE, notice=True)), (0, MatrixPart("Shelf", first=True))):
        platform_id = await room.send(part, f"t{number}")
        if recorded or number < 0:
            notes.parts.append(PostedPart(number, platform_id))
    (_, answer) = room.parts
    again = await begun(room, notes, attempt=2)
    await again.waiting(1, 20.0, "You are number 1.")
    await again.append("Shelf Heron. ")
    await again.finish(FinalAnswer("Shelf Heron.", timings=TOOK_TIME))
    assert list(room.parts) == [answer]
    assert room.texts() == ["Shelf Heron."]


async def test_a_discarded_reply_leaves_no_place_in_the_queue() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    await reply.waiting(2, 20.0, PLACE)
    await until(lambda: room.texts() == [PLACE])
    await reply.discard()
    assert room.texts() == []
    assert room.requests == ["send", "redact"]


async def test_a_place_in_the_queue_whose_outcome_is_unknown_goes_too() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    room.losses = [TransientFailure()]
    await reply.waiting(2, 20.0, PLACE)
    await until(lambda: room.texts() == [PLACE])
    await reply.append("Shelf Heron. ")
    await reply.finish(FinalAnswer("Shelf Heron.", timings=TOOK_TIME))
    assert room.texts() == ["Shelf Heron."]


async def test_a_redaction_of_the_place_in_the_queue_that_is_lost_is_repeated() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    await reply.waiting(2, 20.0, PLACE)
    await until(lambda: room.texts() == [PLACE])
    finishing = asyncio.create_task(reply.finish(FinalAnswer("Shelf Heron.", timings=TOOK_TIME)))
    await until(lambda: room.requests.count("send") == 2)
    room.failures = [TransientFailure()]
    await finishing
    assert room.texts() == ["Shelf Heron."]


@pytest.mark.parametrize(("timings", "notice"), [(Timings(), True), (TOOK_TIME, False)])
async def test_answers_are_messages_and_what_commands_say_are_notices(timings: Timings, notice: bool) -> None:
    room = MemoryRoom()
    reply = await begun(room)
    await reply.finish(FinalAnswer("Shelf Heron.", timings=timings))
    assert [part.notice for part in room.parts.values()] == [notice]


async def test_a_failure_without_text_is_a_notice_and_below_an_answer_it_is_part_of_it() -> None:
    room = MemoryRoom()
    await (await begun(room)).fail("The model stopped.")
    (told,) = room.parts.values()
    assert (told.below, told.notice, told.small) == ("The model stopped.", True, False)
    other = MemoryRoom()
    reply = await begun(other)
    await reply.append("The drive is")
    await reply.fail("The model stopped.")
    (told,) = other.parts.values()
    assert (told.text, told.below, told.notice, told.small) == ("The drive is", "The model stopped.", False, False)


async def test_sources_and_note_are_small_lines_below() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    source = Source(1, "handbook", "disks.md", "Disks", PassageLocation(heading=("Backup",), page=3), "text", 0.9)
    await reply.finish(FinalAnswer("On shelf Heron [1].", (source,), "Cut short.", TOOK_TIME))
    (part,) = room.parts.values()
    assert part.below == "Cut short.\n[1] Disks › Backup › p. 3 (handbook)"
    assert part.small


async def test_pictures_come_once_after_the_text() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    chart = Attachment("chart.png", "image/png", b"png")
    room.losses = [TransientFailure(), TransientFailure(), TransientFailure()]
    await reply.finish(FinalAnswer("Up for a day.", pictures=(chart, chart)))
    assert room.texts() == ["Up for a day."]
    assert list(room.pictures.values()) == [chart, chart]
    again = await begun(room, attempt=2)
    await again.finish(FinalAnswer("Up for a day.", pictures=(chart, chart)))
    assert len(room.pictures) == 2


async def test_a_post_whose_outcome_is_unknown_shows_the_newest_text_in_the_end() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    room.losses = [TransientFailure()]
    await reply.append("The key is here. ")
    await until(lambda: not room.losses)
    await reply.finish(FinalAnswer("The key hangs by the door."))
    assert room.texts() == ["The key hangs by the door."]
    assert len(room.parts) == 1


async def test_edits_whose_outcome_is_unknown_never_hide_a_newer_text() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    await reply.append("One. ")
    await settled()
    for word in ("Two. ", "Three. ", "Four. "):
        room.losses = [TransientFailure()]
        await reply.append(word)
        await settled()
    await reply.finish(FinalAnswer("One. Two."))
    assert room.texts() == ["One. Two."]


async def test_a_text_goes_back_to_an_earlier_one_although_the_edit_in_between_may_have_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reply_module, "RETRY_AFTER_S", 0.05)
    room = MemoryRoom()
    reply = await begun(room)
    await reply.append("One. ")
    await settled()
    room.losses = [TransientFailure()]
    await reply.append("Two. ")
    await until(lambda: not room.losses)
    await reply.finish(FinalAnswer("One. ", timings=TOOK_TIME))
    assert room.texts() == ["One. "]


async def test_a_refusal_by_the_limit_is_waited_out_and_the_newest_text_posted() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    room.failures = [RateLimited(0.01)]
    await reply.append("The key is here. ")
    await settled()
    await reply.append("By the door. ")
    await reply.finish(FinalAnswer("The key is here. By the door."))
    assert room.history == ["The key is here. By the door."]


async def test_a_long_answer_goes_on_in_further_messages_and_shrinks_again() -> None:
    room, notes = MemoryRoom(), Notes()
    reply = await begun(room, notes)
    long = "word " * 9000
    await reply.finish(FinalAnswer(long))
    assert "".join(room.texts()).split() == long.split()
    assert len(room.parts) == len(notes.parts) == 4
    assert [part.first for part in room.parts.values()] == [True, False, False, False]
    again = await begun(room, notes, attempt=2)
    await again.finish(FinalAnswer("Short."))
    assert room.texts() == ["Short."]


async def test_a_post_that_is_known_already_is_edited_into_the_newest_text() -> None:
    room = MemoryRoom()
    first = await begun(room)
    await first.finish(FinalAnswer("The first."))
    hidden, room.parts = room.parts, {}
    again = await begun(room, Notes(), attempt=2)
    room.parts = hidden
    await again.finish(FinalAnswer("The second."))
    assert room.texts() == ["The second."]


async def test_a_reply_that_failed_types_no_longer_and_is_open_no_longer() -> None:
    room, opened = MemoryRoom(), set[LiveReply[Any]]()
    reply = LiveReply(QUESTION, room, MatrixReplyPolicy(ReplyQuota(lifted())), open_replies=opened)
    await reply.open(1, (), Notes().record)
    assert opened == {reply}
    room.refuses_with = "The room does not exist any more."
    with pytest.raises(ReplyFailed):
        await reply.finish(FinalAnswer("Shelf Heron."))
    assert opened == set()
    assert room.rests == 1


async def test_being_thrown_out_in_the_middle_stops_the_making_of_the_answer() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    await reply.append("The key is here. ")
    await settled()
    room.refuses_with = "Hearth was removed."
    await reply.append("It hangs on a hook. ")
    await settled()
    with pytest.raises(ReplyFailed, match="removed"):
        await reply.append("By the door.")
    assert room.rests == 1


async def test_an_abandoned_reply_shows_no_more_and_leaves_what_is_there() -> None:
    room, opened = MemoryRoom(), set[LiveReply[Any]]()
    reply = LiveReply(QUESTION, room, MatrixReplyPolicy(ReplyQuota(lifted())), open_replies=opened)
    await reply.open(1, (), Notes().record)
    await reply.append("The first. ")
    await settled()
    await reply.abandon()
    await settled()
    assert room.texts() == ["The first. "]
    assert opened == set()


async def test_a_cancelled_finish_types_no_longer_and_its_text_still_arrives() -> None:
    room, opened = MemoryRoom(), set[LiveReply[Any]]()
    reply = LiveReply(QUESTION, room, MatrixReplyPolicy(ReplyQuota(lifted())), open_replies=opened)
    await reply.open(1, (), Notes().record)
    finishing = asyncio.create_task(reply.finish(FinalAnswer("The end.")))
    await asyncio.sleep(0)
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing
    await settled()
    assert room.texts() == ["The end."]
    assert room.rests == 1
    assert opened == {reply}


async def test_a_fence_behind_words_gets_a_line_of_its_own_so_that_the_words_after_it_are_no_code() -> None:
    room = MemoryRoom()
    reply = await begun(room)
    await reply.finish(FinalAnswer("Use this: ```bash\nsudo reboot\n```\nThat is all.", timings=TOOK_TIME))
    assert [part.text for part in room.parts.values()] == ["Use this:\n```bash\nsudo reboot\n```\nThat is all."]
    assert render_html(room.parts[next(iter(room.parts))].text).endswith("</pre>\n<p>That is all.</p>")

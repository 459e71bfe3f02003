"""Answers in rooms of a homeserver in memory: what is sent, found again, and refused."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from nio.crypto.attachments import decrypt_attachment

from adapters.delivery import live_reply as reply_module
from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.delivery.live_reply import LiveReply
from adapters.matrix.background_tasks import BackgroundTasks
from adapters.matrix.homeserver import LoggedOut, RequestRefused
from adapters.matrix.outgoing.contents import RoomTarget
from adapters.matrix.outgoing.interrupted_answers import InterruptedAnswers
from adapters.matrix.outgoing.layout import MatrixPart
from adapters.matrix.outgoing.rate_limiter import SendRateLimiter
from adapters.matrix.outgoing.replies import MatrixReplyFactory
from adapters.matrix.outgoing.room_transport import RoomTransport
from adapters.matrix.outgoing.typing_indicator import TypingIndicators
from bot.core.errors import ReplyFailed
from bot.core.messages import Attachment, Audience, ConversationId, FinalAnswer, Message, Person, PostedPart, Timings
from tests.fakes.until import until
from tests.fakes.wire import ALICE, ME, ROOM, FakeHomeserver

CHART = Attachment("chart.png", "image/png", b"a picture")
TOOK_TIME = Timings(total_s=1.0)


@dataclass
class House:
    """A room with one question in it."""

    wire: FakeHomeserver
    question: str
    data: dict[str, str]
    answers: MatrixReplyFactory
    parts: list[PostedPart] = field(default_factory=list)
    event_id: str = ""

    async def record(self, part: PostedPart) -> None:
        self.parts.append(part)

    def restarted(self) -> None:
        self.answers = MatrixReplyFactory(self.wire, SendRateLimiter())

    async def reply(self, attempt: int = 1) -> LiveReply[MatrixPart]:
        reply = self.answers.reply_to(
            Message(
                conversation=ConversationId(f"matrix:{ROOM}"),
                event_id=self.event_id or self.question,
                author=Person(f"matrix:{ALICE}", "Alice"),
                text="Where?",
                addressed=True,
                audience=Audience(frozenset()),
                sent_at=0.0,
                platform_data=self.data,
            )
        )
        await reply.open(attempt, tuple(self.parts), self.record)
        return reply

    def shown(self) -> list[str]:
        """What stands in the room of ours, edits applied."""
        texts: dict[str, str] = {}
        for event in self.wire.rooms[ROOM].events():
            relates = event.content.get("m.relates_to", {})
            if event.sender != ME or event.type != "m.room.message" or not event.content:
                continue
            if relates.get("rel_type") == "m.replace":
                texts[relates["event_id"]] = event.content["m.new_content"]["body"]
            else:
                texts[event.event_id] = event.content["body"]
        return [text for event_id, text in texts.items() if event_id not in self.wire.redacted]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_module, "RETRY_AFTER_S", 0.0)


@pytest.fixture
async def build() -> AsyncIterator[Callable[..., House]]:
    houses: list[House] = []

    def make(*, encrypted: bool = False, thread: bool = False) -> House:
        wire = FakeHomeserver()
        wire.add_room(encrypted=encrypted)
        question = wire.say("Where is the key?").event_id
        data = {"room": ROOM, "question": question, "author": ALICE}
        houses.append(
            House(
                wire,
                question,
                data | ({"thread": question} if thread else {}),
                MatrixReplyFactory(wire, SendRateLimiter()),
            )
        )
        return houses[-1]

    yield make
    for house in houses:
        await house.answers.close()


async def settled() -> None:
    await asyncio.sleep(0.03)


async def test_the_question_is_read_typing_shown_and_ended(build: Callable[..., House]) -> None:
    house = build()
    reply = await house.reply()
    await settled()
    assert house.wire.receipts == [(ROOM, house.question)]
    assert house.wire.typing_log == [(ROOM, True)]
    await reply.append("The key is here. And")
    await settled()
    assert house.shown() == ["The key is here. And"]
    await reply.finish(FinalAnswer("The key is here.", timings=TOOK_TIME))
    await settled()
    assert house.wire.typing_log == [(ROOM, True), (ROOM, False)]
    assert house.shown() == ["The key is here."]


async def test_a_reply_knows_who_reads_its_room_now(build: Callable[..., House]) -> None:
    house = build()
    assert (await house.reply()).current_audience() is None
    house.answers = MatrixReplyFactory(
        house.wire, SendRateLimiter(), lambda room, asker: Audience(frozenset({asker}), private=room.member_count == 2)
    )
    reply = await house.reply()
    assert reply.current_audience() == Audience(frozenset({ALICE}), private=True)
    house.wire.rooms[ROOM].members["@bob:home.example"] = "join"
    assert reply.current_audience() == Audience(frozenset({ALICE}))


async def test_edits_relate_to_the_original_event(build: Callable[..., House]) -> None:
    house = build()
    reply = await house.reply()
    await reply.append("The key is here. And")
    await settled()
    await reply.finish(FinalAnswer("The key is **here**.", timings=TOOK_TIME))
    first, *edits = house.wire.sent
    assert house.parts == [PostedPart(0, first.event_id)]
    assert [sent.event_id for sent in house.wire.edits_of(first.event_id)] == [sent.event_id for sent in edits]
    assert edits[-1].content["m.new_content"]["formatted_body"] == "<p>The key is <strong>here</strong>.</p>"


async def test_in_a_thread_every_message_is_in_it(build: Callable[..., House]) -> None:
    house = build(thread=True)
    await (await house.reply()).finish(FinalAnswer("word " * 4000, timings=TOOK_TIME))
    relations = [sent.content["m.relates_to"] for sent in house.wire.sent]
    assert len(relations) == 2
    assert {(each["rel_type"], each["event_id"], each["is_falling_back"]) for each in relations} == {
        ("m.thread", house.question, True)
    }


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_chart_is_posted_once_and_encrypted_where_the_room_is(
    build: Callable[..., House], encrypted: bool
) -> None:
    house = build(encrypted=encrypted)
    target = RoomTarget(ROOM, house.question, house.question)
    interrupted = InterruptedAnswers(house.wire, SendRateLimiter(), "en")
    place = RoomTransport(house.wire, target, TypingIndicators(house.wire), BackgroundTasks(), interrupted=interrupted)
    house.wire.faults.lose("send", TransientFailure())
    with pytest.raises(TransientFailure):
        await place.send(MatrixPart("", picture=CHART), "picture")
    await place.send(MatrixPart("", picture=CHART), "picture")
    (shown,) = [sent for sent in house.wire.sent if sent.content["msgtype"] == "m.image"]
    assert shown.content["m.relates_to"] == {"m.in_reply_to": {"event_id": house.question}}
    assert len(house.wire.media) == 1
    (stored,) = house.wire.media.values()
    if encrypted:
        file: dict[str, Any] = shown.content["file"]
        assert "url" not in shown.content
        assert file["url"] in house.wire.media
        assert stored != CHART.data
        stored = decrypt_attachment(stored, file["key"]["k"], file["hashes"]["sha256"], file["iv"])
    assert stored == CHART.data


async def test_what_an_earlier_process_posted_is_edited_into_place(build: Callable[..., House]) -> None:
    house = build()
    await (await house.reply()).finish(FinalAnswer("word " * 4000, timings=TOOK_TIME, pictures=(CHART,)))
    house.wire.say("What a long answer", **{"m.relates_to": {"m.in_reply_to": {"event_id": house.question}}})
    house.parts.clear()
    house.wire._transactions.clear()
    house.restarted()
    await (await house.reply(attempt=2)).finish(FinalAnswer("Short.", timings=TOOK_TIME))
    assert [text for text in house.shown() if text != "chart.png"] == ["Short."]
    assert len(house.wire.redacted) == 1


async def test_what_an_earlier_process_posted_is_found_behind_many_others(build: Callable[..., House]) -> None:
    house = build()
    for number in range(250):
        house.wire.say(f"Message {number}")
    await (await house.reply()).finish(FinalAnswer("The first.", timings=TOOK_TIME))
    house.parts.clear()
    house.wire._transactions.clear()
    house.restarted()
    await (await house.reply(attempt=2)).finish(FinalAnswer("The second.", timings=TOOK_TIME))
    assert house.shown() == ["The second."]


async def test_an_answer_that_is_tried_again_leaves_the_earlier_one_alone(build: Callable[..., House]) -> None:
    house = build()
    await (await house.reply()).finish(FinalAnswer("The first.", timings=TOOK_TIME))
    house.parts.clear()
    house.event_id = house.wire.post(ROOM, ALICE, "m.reaction", {}).event_id
    await (await house.reply(attempt=2)).finish(FinalAnswer("The second.", timings=TOOK_TIME))
    assert house.shown() == ["The first.", "The second."]


async def test_messages_of_ours_that_cannot_be_read_are_found_by_what_they_reply_to(
    build: Callable[..., House],
) -> None:
    house = build(encrypted=True)
    content = {"m.relates_to": {"m.in_reply_to": {"event_id": house.question}}}
    house.wire.post(ROOM, ME, "m.room.encrypted", content)
    room = house.wire.rooms[ROOM]
    room.timeline[-1] = (room.timeline[-1][0], replace(room.timeline[-1][1], session_id="unknown"))
    room.locked.add("unknown")
    await (await house.reply(attempt=2)).finish(FinalAnswer("Found.", timings=TOOK_TIME))
    assert [sent.content["body"] for sent in house.wire.sent] == ["* Found."]


async def test_a_question_that_is_gone_can_still_be_answered(build: Callable[..., House]) -> None:
    house = build()
    house.wire.rooms[ROOM].empty(house.question)
    await (await house.reply(attempt=2)).finish(FinalAnswer("Still here.", timings=TOOK_TIME))
    assert house.shown() == ["Still here."]
    other = build()
    other.wire.faults.always("after", RequestRefused(404, "M_NOT_FOUND", {}))
    await (await other.reply(attempt=2)).finish(FinalAnswer("Still here.", timings=TOOK_TIME))
    assert other.shown() == ["Still here."]


async def test_being_removed_in_the_middle_ends_the_reply(build: Callable[..., House]) -> None:
    house = build()
    reply = await house.reply()
    await reply.append("The key is here. ")
    await settled()
    house.wire.rooms[ROOM].members.pop(ME)
    with pytest.raises(ReplyFailed, match="removed or banned"):
        await reply.finish(FinalAnswer("The key is here."))


@pytest.mark.parametrize("error", [TransientFailure(), RateLimited(0.001), LoggedOut(soft=False), LoggedOut(soft=True)])
async def test_what_may_pass_is_waited_for(build: Callable[..., House], error: Exception) -> None:
    house = build()
    house.wire.faults.fail("send", error, times=1 if isinstance(error, RateLimited) else 3)
    for request in ("typing", "read"):
        house.wire.faults.fail(request, error)
    await (await house.reply()).finish(FinalAnswer("In the end.", timings=TOOK_TIME))
    assert house.shown() == ["In the end."]


async def test_a_receipt_and_typing_that_are_refused_fail_no_answer(build: Callable[..., House]) -> None:
    house = build()
    for request in ("typing", "read"):
        house.wire.faults.always(request, RequestRefused(403, "M_FORBIDDEN", {}))
    await (await house.reply()).finish(FinalAnswer("Here.", timings=TOOK_TIME))
    assert house.shown() == ["Here."]


async def test_a_room_whose_encryption_is_unknown_gets_nothing(build: Callable[..., House]) -> None:
    house = build()
    house.wire._known.clear()
    with pytest.raises(ReplyFailed, match="not known whether it is encrypted"):
        await (await house.reply()).finish(FinalAnswer("Here.", timings=TOOK_TIME))
    assert house.wire.sent == []


async def test_closing_leaves_answers_as_they_are(build: Callable[..., House]) -> None:
    house = build()
    reply = await house.reply()
    await reply.append("The key is here. ")
    await settled()
    await house.answers.close()
    await reply.append("By the door. ")
    await settled()
    assert house.shown() == ["The key is here. "]


@pytest.mark.parametrize("error", [None, TransientFailure("504"), RequestRefused(403, "M_FORBIDDEN", {})])
async def test_before_an_answer_the_members_of_a_direct_chat_are_known_if_the_homeserver_gives_them(
    build: Callable[..., House], error: Exception | None
) -> None:
    house = build()
    house.wire.rooms[ROOM].told_count = 2
    house.wire.faults.always("members", error)
    reply = await house.reply()
    room = house.wire.get_room(ROOM)
    assert room is not None and room.is_private is (error is None)
    await reply.finish(FinalAnswer("The key is here.", timings=TOOK_TIME))
    assert house.shown() == ["The key is here."]


async def test_an_answer_that_its_room_refuses_in_the_middle_is_ended_when_the_room_takes_messages_again(
    build: Callable[..., House],
) -> None:
    house = build()
    reply = await house.reply()
    await reply.append("The key is here. ")
    await until(house.shown)
    house.wire.faults.always("send", RequestRefused(403, "M_FORBIDDEN", {}))
    with pytest.raises(ReplyFailed):
        await reply.finish(FinalAnswer("The key is here. By the door.", timings=TOOK_TIME))
    house.wire.faults.always("send", None)
    house.answers.end_interrupted("!other:home.example")
    house.answers.end_interrupted(ROOM)
    await until(lambda: "Interrupted" in house.shown()[0])
    (text,) = house.shown()
    assert text.startswith("The key is here. By the door.\n\nInterrupted")
    house.answers.end_interrupted(ROOM)
    sent = len(house.wire.sent)
    await house.answers.close()
    assert len(house.wire.sent) == sent

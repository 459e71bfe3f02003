"""Edits, deletions and restarts reach the questions being answered, and no others."""

import asyncio

from adapters.intake.question_tracker import QuestionTracker
from bot.core.messages import Audience, ConversationId, FinalAnswer, Message, Person
from bot.core.ports import Ended, Reply
from tests.fakes.inbox import FakeInbox
from tests.fakes.reply import RecordingReply

ROOM = ConversationId("test:room")


def question(event_id: str, text: str = "where?") -> Message:
    audience = Audience(frozenset({str(ROOM)}))
    return Message(ROOM, event_id, Person("test:ana", "Ana"), text, addressed=True, audience=audience, sent_at=0.0)


class Scene:
    """A tracker over an inbox whose answers last until `done`."""

    def __init__(self, late_mention_s: float = 60) -> None:
        self.done = asyncio.Event()
        self.inbox = FakeInbox(self._answer)
        self.now = 100.0
        self.tracker = QuestionTracker(
            self.inbox, lambda message: RecordingReply(message.event_id), late_mention_s, lambda: self.now
        )

    async def _answer(self, message: Message, reply: Reply) -> None:
        await self.done.wait()
        await reply.finish(FinalAnswer("done"))

    async def end(self) -> None:
        self.done.set()
        await self.inbox.wait_until_idle()
        await asyncio.sleep(0)


async def test_a_question_is_tracked_until_its_answer_ends() -> None:
    scene = Scene()
    asked = question("1")
    assert await scene.tracker.submit(asked) is not None
    assert scene.tracker.get_running("1") == asked
    assert scene.tracker.find_running(lambda each: each.text == "where?") == [asked]
    assert await scene.tracker.submit(asked) is None
    await scene.end()
    assert scene.tracker.get_running("1") is None


async def test_an_edit_with_another_text_revises_a_running_question() -> None:
    scene = Scene()
    await scene.tracker.submit(question("1"))

    async def build() -> Message:
        return question("1", "when?")

    await scene.tracker.revise("1", "where?", build)
    await scene.tracker.revise("2", "when?", build)
    assert scene.inbox.revised == []
    await scene.tracker.revise("1", "when?", build)
    await scene.tracker.revise("1", "when?", build)
    assert [revised.text for revised in scene.inbox.revised] == ["when?"]
    await scene.end()


async def test_an_answer_that_ends_while_the_edit_is_read_is_not_revised() -> None:
    scene = Scene()
    await scene.tracker.submit(question("1"))

    async def build() -> Message:
        await scene.end()
        return question("1", "when?")

    await scene.tracker.revise("1", "when?", build)
    assert scene.inbox.revised == []


async def test_withdrawn_questions_are_stopped() -> None:
    scene = Scene()
    await scene.tracker.submit(question("1"))
    await scene.tracker.submit(question("2"))
    await scene.tracker.withdraw(scene.tracker.find_running(lambda each: each.event_id in ("2", "3")))
    assert scene.inbox.withdrawn == [(ROOM, "2")]
    await scene.end()


async def test_a_late_mention_makes_a_question_of_a_young_message_once() -> None:
    scene = Scene()
    scene.tracker.mark_skipped("1")
    assert scene.tracker.may_become_question("1")
    assert not scene.tracker.may_become_question("never seen")
    assert scene.tracker.may_become_question("never seen", age_s=59)
    assert not scene.tracker.may_become_question("never seen", age_s=61)
    scene.tracker.mark_taken("1")
    assert not scene.tracker.may_become_question("1")
    assert not scene.tracker.may_become_question("1", age_s=1)
    await scene.tracker.submit(question("2"))
    assert not scene.tracker.may_become_question("2", age_s=1)
    await scene.end()


async def test_a_message_that_was_skipped_long_ago_stays_no_question() -> None:
    scene = Scene()
    scene.tracker.mark_skipped("1")
    scene.now += 61
    assert not scene.tracker.may_become_question("1")


async def test_questions_of_an_earlier_process_are_tracked_too() -> None:
    class Platform:
        platform = "test"

        def reply_to(self, message: Message) -> Reply:
            return RecordingReply(message.event_id)

    scene = Scene()
    scene.inbox.left = [question("1")]
    await scene.tracker.resume(Platform())  # type: ignore[arg-type]
    assert scene.tracker.get_running("1") is not None
    await scene.end()
    assert scene.tracker.get_running("1") is None


async def test_a_question_deleted_while_it_is_read_is_not_answered() -> None:
    scene = Scene()
    await scene.tracker.withdraw_deleted(["1"])
    assert await scene.tracker.submit(question("1")) is None
    assert scene.inbox.handled == []
    assert await scene.tracker.submit(question("2")) is not None
    await scene.end()


async def test_a_question_deleted_while_the_core_takes_it_is_withdrawn() -> None:
    scene = Scene()

    class Slow(FakeInbox):
        async def handle(self, message: Message, reply: Reply) -> Ended | None:
            ended = await super().handle(message, reply)
            await scene.tracker.withdraw_deleted([message.event_id])
            return ended

    scene.inbox = Slow(scene._answer)
    scene.tracker = QuestionTracker(scene.inbox, lambda message: RecordingReply(message.event_id), 60)
    await scene.tracker.submit(question("1"))
    assert scene.inbox.withdrawn == [(ROOM, "1")]
    await scene.end()


async def test_a_deleted_question_is_withdrawn_while_it_is_answered() -> None:
    scene = Scene()
    await scene.tracker.submit(question("1"))
    await scene.tracker.submit(question("2"))
    await scene.tracker.withdraw_deleted(["2", "3"])
    assert scene.inbox.withdrawn == [(ROOM, "2")]
    await scene.end()

"""Bookkeeping of the questions being answered, and of what edits and deletions of their messages do to them."""

import math
import time
from collections.abc import Awaitable, Callable, Iterable

from adapters.storage.bounded_dict import put_bounded
from bot.core.messages import Message
from bot.core.ports import Adapter, Ended, Inbox, Reply

IDS_KEPT = 2000


class QuestionTracker:
    """Questions by the id of the event that asked; the core decides whether they run, wait or have ended.

    A message that was not a question may become one by an edit, such as a mention added later, while it is younger
    than `late_mention_s`.
    """

    def __init__(
        self,
        inbox: Inbox,
        reply_to: Callable[[Message], Reply],
        late_mention_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`reply_to` makes the reply to a message from the message alone."""
        self._inbox = inbox
        self._reply_to = reply_to
        self._late_mention_s = late_mention_s
        self._clock = clock
        self._running: dict[str, Message] = {}
        self._taken: dict[str, None] = {}
        self._skipped: dict[str, float] = {}

    async def submit(self, question: Message) -> Ended | None:
        """Hand a question to the core, and track it while it is answered. None: the core does not answer it."""
        self.mark_taken(question.event_id)
        ended = await self._inbox.handle(question, self._reply_to(question))
        if ended is not None:
            self.track(question, ended)
        return ended

    async def resume(self, adapter: Adapter) -> None:
        """Go on with the questions that an earlier process left unanswered."""
        for resumed in await self._inbox.resume(adapter):
            self.track(resumed.message, resumed.ended)

    def track(self, question: Message, ended: Ended) -> None:
        """Apply edits and deletions to a question until its answer has ended."""
        self._running[question.event_id] = question
        ended.add_done_callback(lambda _: self._running.pop(question.event_id, None))

    def mark_taken(self, event_id: str) -> None:
        """Note that a message was dealt with as a question: no edit makes it another one."""
        self._skipped.pop(event_id, None)
        put_bounded(self._taken, event_id, None, IDS_KEPT)

    def mark_skipped(self, event_id: str) -> None:
        """Note that a message was not addressed to Hearth; an edit may change that."""
        put_bounded(self._skipped, event_id, self._clock(), IDS_KEPT)

    def may_become_question(self, event_id: str, age_s: float | None = None) -> bool:
        """Whether an edit may make a question of a message. Without its age, only messages marked as skipped qualify,
        and their age counts from then.
        """
        if event_id in self._taken:
            return False
        if age_s is None:
            age_s = self._clock() - self._skipped.get(event_id, -math.inf)
        return age_s < self._late_mention_s

    def get_running(self, event_id: str) -> Message | None:
        """The question that an event asked, while it is being answered."""
        return self._running.get(event_id)

    def find_running(self, wanted: Callable[[Message], bool]) -> list[Message]:
        """The questions being answered that match."""
        return [question for question in self._running.values() if wanted(question)]

    async def revise(self, event_id: str, text: str, build: Callable[[], Awaitable[Message]]) -> None:
        """Restart the answer to an edited question. Nothing happens if its text is the same as before, or if the answer
        ends while the edited question is built.
        """
        running = self._running.get(event_id)
        if running is None or running.text == text:
            return
        edited = await build()
        if event_id in self._running:
            self._running[event_id] = edited
            await self._inbox.revise(edited)

    async def stop(self, questions: Iterable[Message]) -> None:
        """Stop the answers to questions."""
        for question in questions:
            await self._inbox.stop_answer(question.conversation, question.event_id)

    async def withdraw(self, questions: Iterable[Message]) -> None:
        """Stop the answers to questions that were deleted, and take back replies without any text of an answer."""
        for question in questions:
            await self._inbox.withdraw(question.conversation, question.event_id)

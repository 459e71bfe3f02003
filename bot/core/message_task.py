"""Sees one message to its end: answers, runs or refuses it, tells what went wrong, and keeps the journal."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.core import triage
from bot.core.answer import AnswerDraft, Answerer, AnswerResult
from bot.core.attachments import AttachmentReader
from bot.core.commands import CommandCall, Commands
from bot.core.errors import ReplyFailed
from bot.core.failures import CrashedTooOften, DeliveryTimedOut, explain_error
from bot.core.journal import Attempt, Journal, message_key
from bot.core.language import LanguageSelector
from bot.core.messages import FinalAnswer, Message, PostedPart, Timings
from bot.core.observe import Observer, Outcome
from bot.core.ports import Reply
from bot.core.queue import FairQueue, Ticket
from bot.core.texts import Language, localize
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable

log = logging.getLogger(__name__)

Decide = Callable[[Message], triage.Decision]


@dataclass(eq=False)
class MessageTask:
    """A message being seen to. `work_task` is what `stop` cancels, until `is_finalizing` is set; `supervisor_task`
    waits for it.

    `was_left_open`: an earlier process received the message and did not see it to its end. `is_delivering`: the
    platform is
    getting the final text, which the journal holds. `revised_message`: the question as it was edited, to start over
    with.
    `is_in_history`: its turns are part of the history.
    """

    message: Message
    decision: triage.AnswerQuestion | triage.RunCommand | triage.Refuse
    reply: Reply
    arrived_s: float = field(default_factory=time.monotonic)
    ticket: Ticket | None = None
    draft: AnswerDraft | None = None
    work_task: asyncio.Task[None] | None = None
    supervisor_task: asyncio.Task[None] | None = None
    was_left_open: bool = False
    reply_opened: bool = False
    is_finalizing: bool = False
    is_delivering: bool = False
    revised_message: Message | None = None
    is_in_history: bool = False
    language: Language = "en"

    @property
    def is_queued(self) -> bool:
        """Whether the message only waits for its turn at the engine."""
        return self.ticket is not None and not self.ticket.admitted.is_set()


class MessageProcessor:
    """What the tasks of all messages do."""

    def __init__(
        self,
        *,
        journal: Journal,
        queue: FairQueue,
        answerer: Answerer,
        commands: Commands,
        attachments: AttachmentReader,
        languages: LanguageSelector,
        observer: Observer,
        decide: Decide,
        send_timeout_s: float,
    ) -> None:
        self._journal = journal
        self._queue = queue
        self._answerer = answerer
        self._commands = commands
        self._attachments = attachments
        self._languages = languages
        self._observer = observer
        self._decide = decide
        self._send_timeout_s = send_timeout_s

    def start(self, job: MessageTask) -> None:
        """Begin to work on a message, in a task that may be cancelled."""
        job.work_task = asyncio.create_task(self._work(job))

    async def process_message(self, job: MessageTask) -> None:
        """Wait for the work; when it was stopped or failed, tell the person and the journal."""
        assert job.work_task is not None, "the job was started"
        try:
            await asyncio.wait({job.work_task})
            while job.work_task.cancelled() and job.revised_message is not None:
                job.work_task = asyncio.create_task(self._start_over(job, job.revised_message))
                await asyncio.wait({job.work_task})
            if job.work_task.cancelled():
                await self._finish_stopped(job)
            elif (error := job.work_task.exception()) is not None:
                await self._finish_failed(job, error)
        except asyncio.CancelledError:
            job.work_task.cancel()
            await asyncio.wait({job.work_task})
            await self._journal.requeue_message(message_key(job.message))
            raise

    async def report_failure(self, job: MessageTask, error: Exception) -> None:
        """Tell why a message could not even be taken in."""
        await self._finish_failed(job, error)

    async def _work(self, job: MessageTask) -> None:
        attempt = await self._open_reply(job)
        if attempt is None:
            return
        if attempt.written is not None:
            await self._deliver(job, attempt.written)
        elif attempt.crashed_too_often:
            raise CrashedTooOften(attempt.crashes)
        else:
            await self._proceed(job)

    async def _start_over(self, job: MessageTask, message: Message) -> None:
        job.message, job.revised_message, job.draft = message, None, None
        await self._journal.revise_message(message)
        decision = self._decide(message)
        # Edited into something that is no question any more, it is treated as an empty one.
        job.decision = decision if isinstance(decision, triage.AnswerQuestion) else triage.Refuse("empty_question")
        if not job.reply_opened:
            await self._work(job)
            return
        await job.reply.replace("")
        await self._proceed(job)

    async def _proceed(self, job: MessageTask) -> None:
        if isinstance(job.decision, triage.AnswerQuestion):
            await self._answer(job, job.decision.question)
        else:
            await self._journal.mark_answering(message_key(job.message))
            await self._deliver(job, await self._final_answer_of(job))

    async def _open_reply(self, job: MessageTask) -> Attempt | None:
        """Begin the reply; None when the answer has ended meanwhile."""
        key = message_key(job.message)

        async def record(part: PostedPart) -> None:
            await self._journal.record_part(key, part)

        attempt = await self._journal.reopen_message(key) if job.was_left_open else Attempt()
        if attempt is not None:
            job.language = await self._languages.language_for(job.message)
            await job.reply.open(attempt.number, attempt.posted, record)
            job.reply_opened = True
        return attempt

    async def _final_answer_of(self, job: MessageTask) -> FinalAnswer:
        if isinstance(job.decision, triage.RunCommand):
            call = CommandCall(job.message, job.decision.argument, job.language, job.reply)
            return await self._commands.run(job.decision.name, call)
        assert isinstance(job.decision, triage.Refuse)
        return FinalAnswer(localize(job.decision.text_key, job.language, **job.decision.values))

    async def _answer(self, job: MessageTask, question: str) -> None:
        assert job.ticket is not None  # _start gave one, or made the question a refusal
        draft = AnswerDraft(job.message, question, job.language, job.reply, job.ticket, job.arrived_s)
        draft.attached_passages, unread = await self._attachments.parse_attachments(job.message, job.language)
        draft.notes.extend(unread)
        job.draft = draft
        answered = await self._answerer.answer_question(draft)
        await self._write(job, answered)
        self._queue.release_engine(
            job.ticket
        )  # others may use the engine while the platform takes the text at its own pace
        await self._deliver(job, answered.final_answer)
        self._observer.answer_ended(answered.outcome, answered.final_answer.timings)
        job.is_in_history = answered.keep_turns

    async def _write(self, job: MessageTask, answered: AnswerResult) -> None:
        job.is_finalizing = True
        await self._journal.write_answer(
            job.message, answered.final_answer, answered.outcome, sorted(answered.collections), answered.keep_turns
        )

    async def _deliver(self, job: MessageTask, closing: FinalAnswer) -> None:
        job.is_finalizing = job.is_delivering = True
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await job.reply.finish(closing)
        except TimeoutError as error:
            raise DeliveryTimedOut(self._send_timeout_s) from error
        await self._journal.mark_ended(message_key(job.message))

    async def _finish_stopped(self, job: MessageTask) -> None:
        """A stopped answer keeps what was shown of it."""
        note = localize("stopped", job.language)
        draft = job.draft
        self._observer.answer_ended("cancelled", draft.timings if draft else Timings())
        if draft is None or not draft.text.strip():
            await self._send_failure(job, note, "cancelled")
            return
        closing = FinalAnswer(draft.text, draft.sources, note, draft.timings)
        await self._write(job, AnswerResult(closing, "cancelled", draft.collections, keep_turns=True))
        await self._deliver(job, closing)

    async def _finish_failed(self, job: MessageTask, error: BaseException) -> None:
        explained = explain_error(error)
        self._observer.error_reported(explained.kind)
        where = f"{job.message.conversation} {job.message.event_id}"
        if explained.is_expected:
            log.warning("No answer to %s: %s", where, error)
        else:
            log.error("No answer to %s", where, exc_info=error)
        if isinstance(error, ReplyFailed):
            await self._journal.mark_ended(message_key(job.message), "failed")
        elif not job.is_delivering:  # else it stays in the journal, and the next start delivers it
            await self._send_failure(job, explained.to_sentence(job.language), "failed")

    async def _send_failure(self, job: MessageTask, sentence: str, state: Outcome) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                if not job.reply_opened and await self._open_reply(job) is None:
                    return
                await job.reply.fail(sentence)
            await self._journal.mark_ended(message_key(job.message), state)
        except (ReplyFailed, TimeoutError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("%s %s could not be told: %s", job.message.conversation, job.message.event_id, error)

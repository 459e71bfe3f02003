"""Processes one message: answer, command or refusal; reports errors and updates the journal."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from bot.core import triage
from bot.core.answer import AnswerDraft, Answerer, AnswerResult
from bot.core.attachments import AttachmentReader
from bot.core.commands import CommandCall, Commands
from bot.core.errors import ReaderGone, ReplyFailed
from bot.core.failures import CrashedTooOften, DeliveryTimedOut, explain_error
from bot.core.journal import Attempt, Journal, MessageKey, message_key
from bot.core.language import LanguageSelector
from bot.core.messages import ConversationId, FinalAnswer, Message, PostedPart, Timings
from bot.core.observe import Observer, Outcome
from bot.core.ports import Reply
from bot.core.queue import FairQueue, Ticket
from bot.core.texts import Language, localize
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable

log = logging.getLogger(__name__)

Decide = Callable[[Message], triage.Decision]
T = TypeVar("T")
STORAGE_ERRORS = (DatabaseDamaged, DatabaseUnusable)
"""Errors of the history's file or disk."""


@dataclass(eq=False)
class MessageTask:
    """A message in progress. `stop` cancels `work_task`, until `is_finalizing` is set; `supervisor_task` waits for it.

    `was_left_open`: an earlier process received the message and did not finish it. `is_delivering`: the platform is
    receiving the final text, which is in the journal. `revised_message`: the edited question, with which the answer
    restarts. `is_in_history`: its turns are part of the history. `is_withdrawn`: the question was deleted.
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
    is_withdrawn: bool = False
    language: Language = "en"

    @property
    def is_queued(self) -> bool:
        """Whether the message is waiting for the engine."""
        return self.ticket is not None and not (self.ticket.admitted.is_set() or self.is_finalizing)


class MessageProcessor:
    """Runs the tasks of messages."""

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
        self._late_deliveries: set[asyncio.Task[None]] = set()
        self._unmarked: dict[MessageKey, Outcome | None] = {}
        self._unanswered: set[ConversationId] = set()

    def start(self, task: MessageTask) -> None:
        """Start to work on a message, in a task of its own that may be cancelled."""
        task.work_task = asyncio.create_task(self._work(task))

    async def process_message(self, task: MessageTask) -> None:
        """Wait for the work; if it was stopped or failed, report it to the author and update the journal."""
        assert task.work_task is not None, "the task was started"
        try:
            await asyncio.wait({task.work_task})
            while task.work_task.cancelled() and task.revised_message is not None:
                await self._go_on(task, self._start_over(task, task.revised_message))
            if task.ticket is not None:  # before anything is sent: no reader's pace may hold the engine
                self._queue.release_engine(task.ticket)
            if task.work_task.cancelled():
                task.is_finalizing = True
                await self._go_on(task, self._finish_stopped(task))
            if (error := task.work_task.exception()) is not None:
                await self._finish_failed(task, error)
        except asyncio.CancelledError:
            task.work_task.cancel()
            await asyncio.wait({task.work_task})
            await self._requeue(task)
            raise

    async def report_failure(self, task: MessageTask, error: BaseException) -> None:
        """Report why a message could not be received."""
        await self._finish_failed(task, error)

    async def close(self) -> None:
        """Stop waiting for late deliveries: the next process makes them."""
        for late in self._late_deliveries:
            late.cancel()
        await asyncio.gather(*self._late_deliveries, return_exceptions=True)

    async def _go_on(self, task: MessageTask, work: Coroutine[Any, Any, None]) -> None:
        task.work_task = asyncio.create_task(work)
        await asyncio.wait({task.work_task})

    async def _work(self, task: MessageTask) -> None:
        attempt = await self._open_reply(task)
        if attempt is None:
            return
        if attempt.written is not None:
            await self._deliver(task, attempt.written)
        elif attempt.crashed_too_often:
            raise CrashedTooOften(attempt.crashes)
        else:
            await self._proceed(task)

    async def _start_over(self, task: MessageTask, message: Message) -> None:
        task.message, task.revised_message, task.draft = message, None, None
        await self._journal.revise_message(message)
        decision = self._decide(message)
        # A message edited into something other than a question is treated as an empty question.
        task.decision = decision if isinstance(decision, triage.AnswerQuestion) else triage.Refuse("empty_question")
        if not task.reply_opened:
            await self._work(task)
            return
        await task.reply.replace("")
        await self._proceed(task)

    async def _proceed(self, task: MessageTask) -> None:
        if isinstance(task.decision, triage.AnswerQuestion):
            await self._answer(task, task.decision.question)
        else:
            if task.ticket is not None:  # it may have crashed the process: it runs alone
                self._queue.mark_ready(task.ticket)
                await task.ticket.admitted.wait()
            await self._journal.mark_answering(message_key(task.message))
            await self._deliver(task, await self._final_answer_of(task))

    async def _open_reply(self, task: MessageTask) -> Attempt | None:
        """Open the reply; None when the answer has ended meanwhile."""
        key = message_key(task.message)

        async def record(part: PostedPart) -> None:
            try:
                await self._journal.record_part(key, part)
            except STORAGE_ERRORS as error:  # a full disk must not keep the sentence that tells of it from the reader
                log.warning("Could not store what was posted for %s: %s", _name(task), error)

        attempt = await self._journal.reopen_message(key) if task.was_left_open else Attempt()
        if attempt is not None:
            task.language = await self._language_of(task)
            await task.reply.open(attempt.number, attempt.posted, record)
            task.reply_opened = True
        return attempt

    async def _language_of(self, task: MessageTask) -> Language:
        try:
            return await self._languages.language_for(task.message)
        except STORAGE_ERRORS as error:
            log.warning("Could not look up the language of %s: %s", _name(task), error)
            return task.language

    async def _final_answer_of(self, task: MessageTask) -> FinalAnswer:
        if isinstance(task.decision, triage.RunCommand):
            call = CommandCall(task.message, task.decision.argument, task.language, task.reply)
            return await self._commands.run(task.decision.name, call)
        assert isinstance(task.decision, triage.Refuse)
        return FinalAnswer(localize(task.decision.text_key, task.language, **task.decision.values))

    async def _answer(self, task: MessageTask, question: str) -> None:
        assert task.ticket is not None  # Dispatcher._start sets it, or turns the question into a refusal
        draft = AnswerDraft(task.message, question, task.language, task.reply, task.ticket, task.arrived_s)
        draft.attached_passages, problems = await self._attachments.parse_attachments(task.message, task.language)
        draft.notes.extend(problems)
        task.draft = draft
        while True:
            result = self._with_apology(task, await self._answerer.answer_question(draft))
            if await self._write(task, result):
                self._unanswered.discard(task.message.conversation)
                break
            task.is_finalizing = False  # something in its prompt was forgotten meanwhile
        # Others may use the engine while the platform accepts the text at its own speed.
        self._queue.release_engine(task.ticket)
        await self._deliver(task, result.final_answer)
        self._observer.answer_ended(result.outcome, result.final_answer.timings)
        task.is_in_history = result.keep_turns

    def _with_apology(self, task: MessageTask, result: AnswerResult) -> AnswerResult:
        """The result with a note about questions that had to stay without an answer in its conversation."""
        if task.message.conversation not in self._unanswered:
            return result
        answer = result.final_answer
        note = " ".join(filter(None, (answer.note, localize("left_unanswered", task.language))))
        return replace(result, final_answer=replace(answer, note=note))

    async def _write(self, task: MessageTask, result: AnswerResult) -> bool:
        """Store an answer; False when it is outdated."""
        task.is_finalizing = True
        return await self._journal.write_answer(
            task.message, result.final_answer, result.outcome, result.origin, result.keep_turns
        )

    async def _deliver(self, task: MessageTask, answer: FinalAnswer) -> None:
        task.is_finalizing = task.is_delivering = True
        await self._complete(task, task.reply.finish(answer))

    async def _finish_stopped(self, task: MessageTask) -> None:
        """Finish a stopped answer with the text shown so far; without any, take back a deleted question's reply."""
        draft = task.draft
        self._observer.answer_ended("cancelled", draft.timings if draft else Timings())
        note = localize("stopped", task.language)
        if draft is not None and draft.text.strip():
            answer = FinalAnswer(draft.text, draft.sources, note, draft.timings)
            await self._write(task, AnswerResult(answer, "cancelled", draft.origin, keep_turns=True))
            await self._deliver(task, answer)
        elif task.is_withdrawn:
            await self._discard(task)
        else:
            await self._send_failure(task, note, "cancelled")

    async def _discard(self, task: MessageTask) -> None:
        if not task.reply_opened and task.was_left_open:  # an earlier process may have posted something
            await self._open_reply(task)
        if task.reply_opened:
            await self._complete(task, task.reply.discard(), "cancelled")
        else:
            await self._mark_ended(message_key(task.message), "cancelled")

    async def _finish_failed(self, task: MessageTask, error: BaseException) -> None:
        explained = explain_error(error)
        self._observer.error_reported(explained.kind)
        if explained.is_expected:
            log.warning("Could not answer %s: %s", _name(task), error)
        else:
            log.error("Could not answer %s", _name(task), exc_info=error)
        if isinstance(error, ReplyFailed):
            await self._finish_refused(task, error)
        elif not task.is_delivering:  # otherwise it stays in the journal, and the next start delivers it
            await self._send_failure(task, explained.to_sentence(task.language), "failed")

    async def _finish_refused(self, task: MessageTask, error: ReplyFailed) -> None:
        """Say once that the platform refuses the answer; if it refuses that too, the next answer there says it."""
        if not isinstance(error, ReaderGone):
            sentence = localize("reply_refused", task.language)
            if not (task.reply_opened and await self._send_failure(task, sentence, "failed")):
                self._unanswered.add(task.message.conversation)
        await self._mark_ended(message_key(task.message), "failed")

    async def _send_failure(self, task: MessageTask, sentence: str, state: Outcome) -> bool:
        """End the reply with a sentence; whether it was shown. One that comes late is waited for in the background."""
        try:
            if not task.reply_opened and await self._open_reply(task) is None:
                return False
            await self._complete(task, task.reply.fail(sentence), state)
        except (ReplyFailed, DeliveryTimedOut, *STORAGE_ERRORS) as error:
            log.warning("Could not report the end of %s: %s", _name(task), error)
            return False
        return True

    async def _complete(
        self, task: MessageTask, ending: Coroutine[Any, Any, None], state: Outcome | None = None
    ) -> None:
        """Make the reply's last call and mark the message as ended. Raises ReplyFailed, and DeliveryTimedOut after
        `send_timeout_s`; the call then goes on in the background until the platform has taken it or the process stops.
        """
        sending = asyncio.create_task(self._send_ending(task, ending, state))
        await _wait_or_cancel(sending, self._send_timeout_s)
        if not sending.done():
            late = asyncio.create_task(self._await_late(task, sending))
            self._late_deliveries.add(late)
            late.add_done_callback(self._late_deliveries.discard)
            raise DeliveryTimedOut(self._send_timeout_s)
        sending.result()

    async def _send_ending(self, task: MessageTask, ending: Coroutine[Any, Any, None], state: Outcome | None) -> None:
        await ending
        await self._mark_ended(message_key(task.message), state)

    async def _await_late(self, task: MessageTask, sending: asyncio.Task[None]) -> None:
        await _wait_or_cancel(sending)
        if (error := sending.exception()) is None:
            log.info("Delivered the answer to %s late.", _name(task))
            return
        log.warning("Could not deliver the answer to %s: %s", _name(task), error)
        if isinstance(error, ReplyFailed):
            await self._mark_ended(message_key(task.message), "failed")

    async def _mark_ended(self, key: MessageKey, state: Outcome | None) -> None:
        """Mark a message as ended; one that cannot be marked now is marked together with the next."""
        self._unmarked[key] = state
        try:
            for each, outcome in list(self._unmarked.items()):
                await self._journal.mark_ended(each, outcome)
                self._unmarked.pop(each, None)
        except STORAGE_ERRORS as error:
            log.warning("Could not mark the end of %s: %s", " ".join(key), error)

    async def _requeue(self, task: MessageTask) -> None:
        try:
            await self._journal.requeue_message(message_key(task.message))
        except STORAGE_ERRORS as error:
            log.warning("Could not leave %s to the next start: %s", _name(task), error)


async def settle(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run a coroutine in a task until it has returned or failed; the task. Cancelled with its caller."""
    task = asyncio.create_task(work)
    await _wait_or_cancel(task)
    return task


async def _wait_or_cancel(task: asyncio.Task[Any], timeout_s: float | None = None) -> None:
    """Wait for a task, at most so long; when the caller is cancelled, the task is too."""
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise


def _name(task: MessageTask) -> str:
    return f"{task.message.conversation} {task.message.event_id}"

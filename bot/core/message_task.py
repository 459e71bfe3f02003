"""Processes one message: answer, command or refusal; reports errors and updates the journal."""

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
    """A message in progress. `stop` cancels `work_task`, until `is_finalizing` is set; `supervisor_task` waits for it.

    `was_left_open`: an earlier process received the message and did not finish it. `is_delivering`: the platform is
    receiving the final text, which is in the journal. `revised_message`: the edited question, with which the answer
    restarts. `is_in_history`: its turns are part of the history.
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
        """Whether the message is waiting for the engine."""
        return self.ticket is not None and not self.ticket.admitted.is_set()


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

    def start(self, task: MessageTask) -> None:
        """Start to work on a message, in a task of its own that may be cancelled."""
        task.work_task = asyncio.create_task(self._work(task))

    async def process_message(self, task: MessageTask) -> None:
        """Wait for the work; if it was stopped or failed, report it to the author and update the journal."""
        assert task.work_task is not None, "the task was started"
        try:
            await asyncio.wait({task.work_task})
            while task.work_task.cancelled() and task.revised_message is not None:
                task.work_task = asyncio.create_task(self._start_over(task, task.revised_message))
                await asyncio.wait({task.work_task})
            if task.work_task.cancelled():
                await self._finish_stopped(task)
            elif (error := task.work_task.exception()) is not None:
                await self._finish_failed(task, error)
        except asyncio.CancelledError:
            task.work_task.cancel()
            await asyncio.wait({task.work_task})
            await self._journal.requeue_message(message_key(task.message))
            raise

    async def report_failure(self, task: MessageTask, error: Exception) -> None:
        """Report why a message could not be received."""
        await self._finish_failed(task, error)

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
                await task.ticket.admitted.wait()
            await self._journal.mark_answering(message_key(task.message))
            await self._deliver(task, await self._final_answer_of(task))

    async def _open_reply(self, task: MessageTask) -> Attempt | None:
        """Open the reply; None when the answer has ended meanwhile."""
        key = message_key(task.message)

        async def record(part: PostedPart) -> None:
            await self._journal.record_part(key, part)

        attempt = await self._journal.reopen_message(key) if task.was_left_open else Attempt()
        if attempt is not None:
            task.language = await self._languages.language_for(task.message)
            await task.reply.open(attempt.number, attempt.posted, record)
            task.reply_opened = True
        return attempt

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
        while not await self._write(task, result := await self._answerer.answer_question(draft)):
            task.is_finalizing = False  # something in its prompt was forgotten meanwhile
        # Others may use the engine while the platform accepts the text at its own speed.
        self._queue.release_engine(task.ticket)
        await self._deliver(task, result.final_answer)
        self._observer.answer_ended(result.outcome, result.final_answer.timings)
        task.is_in_history = result.keep_turns

    async def _write(self, task: MessageTask, result: AnswerResult) -> bool:
        """Store an answer; False when it is outdated."""
        task.is_finalizing = True
        return await self._journal.write_answer(
            task.message, result.final_answer, result.outcome, result.origin, result.keep_turns
        )

    async def _deliver(self, task: MessageTask, answer: FinalAnswer) -> None:
        task.is_finalizing = task.is_delivering = True
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await task.reply.finish(answer)
        except TimeoutError as error:
            raise DeliveryTimedOut(self._send_timeout_s) from error
        await self._journal.mark_ended(message_key(task.message))

    async def _finish_stopped(self, task: MessageTask) -> None:
        """Finish a stopped answer with the text shown so far."""
        note = localize("stopped", task.language)
        draft = task.draft
        self._observer.answer_ended("cancelled", draft.timings if draft else Timings())
        if draft is None or not draft.text.strip():
            await self._send_failure(task, note, "cancelled")
            return
        answer = FinalAnswer(draft.text, draft.sources, note, draft.timings)
        await self._write(task, AnswerResult(answer, "cancelled", draft.origin, keep_turns=True))
        await self._deliver(task, answer)

    async def _finish_failed(self, task: MessageTask, error: BaseException) -> None:
        explained = explain_error(error)
        self._observer.error_reported(explained.kind)
        name = f"{task.message.conversation} {task.message.event_id}"
        if explained.is_expected:
            log.warning("Could not answer %s: %s", name, error)
        else:
            log.error("Could not answer %s", name, exc_info=error)
        if isinstance(error, ReplyFailed):
            await self._journal.mark_ended(message_key(task.message), "failed")
        elif not task.is_delivering:  # otherwise it stays in the journal, and the next start delivers it
            await self._send_failure(task, explained.to_sentence(task.language), "failed")

    async def _send_failure(self, task: MessageTask, sentence: str, state: Outcome) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                if not task.reply_opened and await self._open_reply(task) is None:
                    return
                await task.reply.fail(sentence)
            await self._journal.mark_ended(message_key(task.message), state)
        except (ReplyFailed, TimeoutError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning(
                "Could not report the end of %s %s: %s", task.message.conversation, task.message.event_id, error
            )

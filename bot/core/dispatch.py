"""Takes messages in, gives each that asks for something a task of its own, and can stop it."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from bot.core import triage
from bot.core.answer import Answerer
from bot.core.attachments import AttachmentReader
from bot.core.commands import Commands
from bot.core.flood_control import FloodGuard
from bot.core.history import History
from bot.core.journal import MessageKey, message_key
from bot.core.language import LanguageSelector
from bot.core.message_task import MessageProcessor, MessageTask
from bot.core.messages import ConversationId, Message
from bot.core.observe import Observer
from bot.core.ports import Adapter, Ended, Reply, ResumedMessage
from bot.core.queue import FairQueue, TooManyWaiting
from bot.core.settings import CoreSettings
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable

log = logging.getLogger(__name__)


class Dispatcher:
    """Fills the port `Inbox`."""

    def __init__(
        self,
        *,
        settings: CoreSettings,
        history: History,
        queue: FairQueue,
        answerer: Answerer,
        attachments: AttachmentReader,
        observer: Observer,
        commands: Callable[["Dispatcher"], Commands],
    ) -> None:
        self._settings = settings
        self._history = history
        self._queue = queue
        self._answerer = answerer
        self._observer = observer
        self._flood_guard = FloodGuard(settings.flood_answers_per_minute, settings.flood_pause_s)
        self._commands = commands(self)
        self._policy = triage.TriagePolicy(
            settings.command_prefix,
            self._commands.names_by_alias,
            frozenset(settings.people.block),
            settings.question_characters,
        )
        self._processor = MessageProcessor(
            journal=history.journal,
            queue=queue,
            answerer=answerer,
            commands=self._commands,
            attachments=attachments,
            languages=LanguageSelector(history, settings.language),
            observer=observer,
            decide=self._decide,
            send_timeout_s=settings.send_timeout_s,
        )
        self._message_tasks: dict[MessageKey, MessageTask] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, message: Message, reply: Reply) -> Ended | None:
        """Take a message; returns when it is journaled and never waits for the answer, whose end it returns."""
        decision = self._decide(message)
        if isinstance(decision, triage.Ignore):
            return None
        job = MessageTask(message, decision, reply)
        try:
            return self._start(job) if await self._receive(job) else None
        except (DatabaseDamaged, DatabaseUnusable) as error:
            return self._spawn(self._processor.report_failure(job, error))

    async def resume(self, adapter: Adapter) -> list[ResumedMessage]:
        """Answer what an earlier process left unanswered on the adapter's platform, oldest first."""
        resumed: list[ResumedMessage] = []
        for message in await self._history.journal.open_messages(adapter.platform):
            if message_key(message) in self._message_tasks:
                continue
            decision = self._decide(message)
            if isinstance(decision, triage.Ignore):  # blocked since
                await self._history.journal.mark_ended(message_key(message), "cancelled")
                continue
            job = MessageTask(message, decision, adapter.reply_to(message), was_left_open=True)
            resumed.append(ResumedMessage(message, self._start(job)))
        return resumed

    async def stop(self, conversation: ConversationId, person_id: str | None = None) -> int:
        """Stop running and waiting answers of a conversation, of one person only if given; how many."""
        return self._stop_matching(
            lambda message: message.conversation == conversation and person_id in (None, message.author.id)
        )

    async def revise(self, message: Message) -> bool:
        """The question was edited: start over with it, into the same reply; False when no answer is being made."""
        job = self._message_tasks.get(message_key(message))
        if (
            job is None
            or job.is_finalizing
            or job.work_task is None
            or not isinstance(job.decision, triage.AnswerQuestion)
        ):
            return False
        job.revised_message = message
        job.work_task.cancel()
        return True

    async def question(self, conversation: ConversationId, event_id: str) -> str | None:
        """What was asked with a command of the platform; None when it was forgotten, or was no such question."""
        return await self._history.question_text(conversation, event_id)

    async def withdraw(self, conversation: ConversationId, event_id: str) -> bool:
        """Stop the answer to a question that was deleted; False when there is none to stop."""
        return bool(
            self._stop_matching(lambda message: message.conversation == conversation and message.event_id == event_id)
        )

    async def stop_person(self, person_id: str) -> int:
        """Stop all of a person's answers, wherever they asked; how many."""
        return self._stop_matching(lambda message: message.author.id == person_id)

    async def wait_until_idle(self) -> None:
        """Wait until every message taken so far has been seen to."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Let what is running end for `shutdown_grace_s`, and leave the rest to the next process."""
        running = {
            job.supervisor_task for job in self._message_tasks.values() if job.supervisor_task and not job.is_queued
        }
        for task in self._tasks - running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=self._settings.shutdown_grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _decide(self, message: Message) -> triage.Decision:
        return triage.decide(message, self._policy)

    async def _receive(self, job: MessageTask) -> bool:
        """Journal a message; False when it was taken before, or its conversation is paused."""
        message, journal = job.message, self._history.journal
        if not await journal.receive_message(message):
            return False  # before the pace counts: what a platform repeats after a restart is nobody's haste
        verdict = self._flood_guard.count_answer(message.conversation, time.monotonic())
        if verdict == "paused":
            await journal.mark_ignored(message_key(message))
        elif verdict == "pause":
            job.decision = triage.Refuse("pace_paused", {"minutes": round(self._settings.flood_pause_s / 60) or 1})
        return verdict != "paused"

    def _stop_matching(self, wanted: Callable[[Message], bool]) -> int:
        stopped = 0
        for job in list(self._message_tasks.values()):
            answering = isinstance(job.decision, triage.AnswerQuestion) and not job.is_finalizing
            if answering and job.work_task is not None and wanted(job.message) and not job.work_task.done():
                job.work_task.cancel()
                stopped += 1
        return stopped

    def _start(self, job: MessageTask) -> Ended:
        if isinstance(job.decision, triage.AnswerQuestion):
            try:
                job.ticket = self._queue.take_ticket(job.message.author.id, job.message.conversation)
            except TooManyWaiting as error:
                job.decision = triage.Refuse("too_many_waiting", {"limit": error.limit})
        self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)
        self._message_tasks[message_key(job.message)] = job
        self._processor.start(job)
        job.supervisor_task = self._spawn(self._process(job))
        return job.supervisor_task

    async def _process(self, job: MessageTask) -> None:
        try:
            await self._processor.process_message(job)
        finally:
            if job.ticket is not None:
                self._queue.release_ticket(job.ticket)
            self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)
            del self._message_tasks[message_key(job.message)]
        if job.is_in_history and not self._queue.waiting_count and not self._queue.running_count:
            self._spawn(self._answerer.warm_up_history(job.message, job.language))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A task of the core ended with an error", exc_info=error)

"""Receives messages, starts one task for each that needs a reply, and can stop it."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine

from bot.core import triage
from bot.core.answer import Answerer
from bot.core.attachments import AttachmentReader
from bot.core.bounded_reply import BoundedReply
from bot.core.commands import Commands
from bot.core.flood_control import FloodGuard
from bot.core.history import History
from bot.core.journal import MessageKey, message_key
from bot.core.language import LanguageSelector
from bot.core.message_task import MessageProcessor, MessageTask, settle
from bot.core.messages import ConversationId, Message
from bot.core.observe import Observer
from bot.core.ports import Adapter, Ended, Reply, ResumedMessage
from bot.core.queue import FairQueue, TooManyWaiting
from bot.core.settings import CoreSettings

log = logging.getLogger(__name__)


class Dispatcher:
    """Implements the port `Inbox`."""

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
        """Take a message and return once it is journaled, without waiting for the answer; the future of its end."""
        decision = self._decide(message)
        self._answerer.audiences.record(message)
        if isinstance(decision, triage.Ignore):
            return None
        task = self._new_task(message, decision, reply)
        receiving = await settle(self._receive(task))
        if (error := receiving.exception()) is not None:  # whatever it is, it is this message's alone
            return self._spawn(self._processor.report_failure(task, error))
        return self._start(task) if receiving.result() else None

    async def resume(self, adapter: Adapter) -> list[ResumedMessage]:
        """Answer messages that an earlier process left open on the adapter's platform, oldest first.

        Those that were being answered when it died are answered alone: the next crash then has one cause.
        """
        resumed: list[ResumedMessage] = []
        suspects = await self._history.journal.crash_suspects(adapter.platform)
        for message in await self._history.journal.open_messages(adapter.platform):
            resuming = await settle(self._resume_message(message, adapter, suspects))
            if (error := resuming.exception()) is not None:
                log.error("Could not resume %s", " ".join(message_key(message)), exc_info=error)
            elif (ended := resuming.result()) is not None:
                resumed.append(ResumedMessage(message, ended))
        return resumed

    async def stop(self, conversation: ConversationId, person_id: str | None = None) -> int:
        """Stop running and waiting answers of a conversation, or only one person's; the number stopped."""
        return self._stop_matching(
            lambda message: message.conversation == conversation and person_id in (None, message.author.id)
        )

    async def revise(self, message: Message) -> bool:
        """Restart the answer to an edited question in the same reply; False when none is in progress."""
        task = self._message_tasks.get(message_key(message))
        if (
            task is None
            or task.is_finalizing
            or task.work_task is None
            or not isinstance(task.decision, triage.AnswerQuestion)
        ):
            return False
        task.revised_message = message
        task.work_task.cancel()
        return True

    async def question(self, conversation: ConversationId, event_id: str) -> str | None:
        """The question of a native command of the platform; None when it was forgotten or is unknown."""
        return await self._history.question_text(conversation, event_id)

    async def withdraw(self, conversation: ConversationId, event_id: str) -> bool:
        """Stop the answer to a deleted question; False when none is in progress."""
        for task in self._message_tasks.values():
            if (task.message.conversation, task.message.event_id) == (conversation, event_id):
                task.is_withdrawn = True
        return await self.stop_answer(conversation, event_id)

    async def stop_answer(self, conversation: ConversationId, event_id: str) -> bool:
        """Stop the answer to one question; False when none is in progress."""
        return bool(
            self._stop_matching(lambda message: message.conversation == conversation and message.event_id == event_id)
        )

    async def stop_person(self, person_id: str) -> int:
        """Stop all of a person's answers in all conversations; the number stopped."""
        return self._stop_matching(lambda message: message.author.id == person_id)

    async def wait_until_idle(self) -> None:
        """Wait until every message taken so far is processed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Give running answers `shutdown_grace_s` to end, and leave the others to the next process."""
        running = {
            task.supervisor_task for task in self._message_tasks.values() if task.supervisor_task and not task.is_queued
        }
        for task in self._tasks - running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=self._settings.shutdown_grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._processor.close()

    def _new_task(
        self,
        message: Message,
        decision: triage.AnswerQuestion | triage.RunCommand | triage.Refuse,
        reply: Reply,
        *,
        was_left_open: bool = False,
    ) -> MessageTask:
        bounded = BoundedReply(reply, self._settings.send_timeout_s)
        return MessageTask(message, decision, bounded, was_left_open=was_left_open)

    async def _resume_message(
        self, message: Message, adapter: Adapter, suspects: Collection[MessageKey]
    ) -> Ended | None:
        """Start a message of an earlier process; None when it needs no answer any more."""
        if message_key(message) in self._message_tasks:
            return None
        decision = self._decide(message)
        if isinstance(decision, triage.Ignore):  # blocked meanwhile
            await self._history.journal.mark_ended(message_key(message), "cancelled")
            return None
        task = self._new_task(message, decision, adapter.reply_to(message), was_left_open=True)
        return self._start(task, alone=message_key(message) in suspects)

    def _decide(self, message: Message) -> triage.Decision:
        return triage.decide(message, self._policy)

    async def _receive(self, task: MessageTask) -> bool:
        """Journal a message; False for a duplicate, or when its conversation is paused."""
        message, journal = task.message, self._history.journal
        if not await journal.receive_message(message):
            return False  # must precede the rate check: redelivered messages must not count against the limit
        verdict = self._flood_guard.count_answer(message.conversation, time.monotonic())
        if verdict == "paused":
            await journal.mark_ignored(message_key(message))
        elif verdict == "pause":
            task.decision = triage.Refuse("pace_paused", {"minutes": round(self._settings.flood_pause_s / 60) or 1})
        return verdict != "paused"

    def _stop_matching(self, wanted: Callable[[Message], bool]) -> int:
        stopped = 0
        for task in list(self._message_tasks.values()):
            answering = isinstance(task.decision, triage.AnswerQuestion) and not task.is_finalizing
            if answering and task.work_task is not None and wanted(task.message) and not task.work_task.done():
                task.work_task.cancel()
                stopped += 1
        return stopped

    def _start(self, task: MessageTask, *, alone: bool = False) -> Ended:
        if alone or isinstance(task.decision, triage.AnswerQuestion):
            try:
                # Not ready before its files are read and the search is done, neither of which may hold the engine.
                # One that runs alone does so with all of its work.
                task.ticket = self._queue.take_ticket(
                    task.message.author.id, task.message.conversation, alone=alone, is_ready=alone
                )
            except TooManyWaiting as error:
                task.decision = triage.Refuse("too_many_waiting", {"limit": error.limit})
        self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)
        self._message_tasks[message_key(task.message)] = task
        self._processor.start(task)
        task.supervisor_task = self._spawn(self._process(task))
        return task.supervisor_task

    async def _process(self, task: MessageTask) -> None:
        try:
            await self._processor.process_message(task)
        finally:
            if task.ticket is not None:
                self._queue.release_ticket(task.ticket)
            self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)
            del self._message_tasks[message_key(task.message)]
        if task.is_in_history and not self._queue.waiting_count and not self._queue.running_count:
            self._spawn(self._answerer.warm_up_history(task.message, task.language))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Could not finish a task of the core", exc_info=error)

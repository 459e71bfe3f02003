"""Takes messages in, gives each that asks for something a task of its own, and can stop it."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from bot.core import triage
from bot.core.answer import Answerer
from bot.core.attachments import AttachmentReader
from bot.core.commands import Commands
from bot.core.flood_control import Pace
from bot.core.history import History
from bot.core.journal import Key, key_of
from bot.core.language import Languages
from bot.core.message_task import Job, Worker
from bot.core.messages import ConversationId, Message
from bot.core.observe import Observer
from bot.core.ports import Adapter, Ended, Reply, Resumed
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
        self._pace = Pace(settings.answers_per_minute, settings.pause_s)
        self._commands = commands(self)
        self._policy = triage.Policy(
            settings.command_prefix,
            self._commands.words,
            frozenset(settings.blocked_people),
            settings.question_characters,
        )
        self._worker = Worker(
            journal=history.journal,
            queue=queue,
            answerer=answerer,
            commands=self._commands,
            attachments=attachments,
            languages=Languages(history, settings.language),
            observer=observer,
            decide=self._decide,
            send_timeout_s=settings.send_timeout_s,
        )
        self._jobs: dict[Key, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, message: Message, reply: Reply) -> Ended | None:
        """Take a message; returns when it is journaled and never waits for the answer, whose end it returns."""
        decision = self._decide(message)
        if isinstance(decision, triage.Ignore):
            return None
        job = Job(message, decision, reply)
        try:
            return self._start(job) if await self._receive(job) else None
        except (DatabaseDamaged, DatabaseUnusable) as error:
            return self._keep(self._worker.refuse(job, error))

    async def resume(self, adapter: Adapter) -> list[Resumed]:
        """Answer what an earlier process left unanswered on the adapter's platform, oldest first."""
        resumed: list[Resumed] = []
        for message in await self._history.journal.open_messages(adapter.platform):
            if key_of(message) in self._jobs:
                continue
            decision = self._decide(message)
            if isinstance(decision, triage.Ignore):  # blocked since
                await self._history.journal.end(key_of(message), "cancelled")
                continue
            job = Job(message, decision, adapter.reply_to(message), left_open=True)
            resumed.append(Resumed(message, self._start(job)))
        return resumed

    async def stop(self, conversation: ConversationId, person_id: str | None = None) -> int:
        """Stop running and waiting answers of a conversation, of one person only if given; how many."""
        return self._stop(
            lambda message: message.conversation == conversation and person_id in (None, message.author.id)
        )

    async def revise(self, message: Message) -> bool:
        """The question was edited: start over with it, into the same reply; False when no answer is being made."""
        job = self._jobs.get(key_of(message))
        if job is None or job.closing or job.work is None or not isinstance(job.decision, triage.Answer):
            return False
        job.revised = message
        job.work.cancel()
        return True

    async def question(self, conversation: ConversationId, event_id: str) -> str | None:
        """What was asked with a command of the platform; None when it was forgotten, or was no such question."""
        return await self._history.question(conversation, event_id)

    async def withdraw(self, conversation: ConversationId, event_id: str) -> bool:
        """Stop the answer to a question that was deleted; False when there is none to stop."""
        return bool(self._stop(lambda message: message.conversation == conversation and message.event_id == event_id))

    async def stop_person(self, person_id: str) -> int:
        """Stop all of a person's answers, wherever they asked; how many."""
        return self._stop(lambda message: message.author.id == person_id)

    async def idle(self) -> None:
        """Wait until every message taken so far has been seen to."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Let what is running end for `drain_s`, and leave the rest to the next process."""
        running = {job.attending for job in self._jobs.values() if job.attending and not job.is_waiting}
        for task in self._tasks - running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=self._settings.drain_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _decide(self, message: Message) -> triage.Decision:
        return triage.decide(message, self._policy)

    async def _receive(self, job: Job) -> bool:
        """Journal a message; False when it was taken before, or its conversation is paused."""
        message, journal = job.message, self._history.journal
        if not await journal.receive(message):
            return False  # before the pace counts: what a platform repeats after a restart is nobody's haste
        verdict = self._pace.check(message.conversation, time.monotonic())
        if verdict == "paused":
            await journal.ignore(key_of(message))
        elif verdict == "pause":
            job.decision = triage.Refuse("pace_paused", {"minutes": round(self._settings.pause_s / 60) or 1})
        return verdict != "paused"

    def _stop(self, wanted: Callable[[Message], bool]) -> int:
        stopped = 0
        for job in list(self._jobs.values()):
            answering = isinstance(job.decision, triage.Answer) and not job.closing
            if answering and job.work is not None and wanted(job.message) and not job.work.done():
                job.work.cancel()
                stopped += 1
        return stopped

    def _start(self, job: Job) -> Ended:
        if isinstance(job.decision, triage.Answer):
            try:
                job.ticket = self._queue.enter(job.message.author.id, job.message.conversation)
            except TooManyWaiting as error:
                job.decision = triage.Refuse("too_many_waiting", {"limit": error.limit})
        self._observer.queued(self._queue.waiting, self._queue.running)
        self._jobs[key_of(job.message)] = job
        self._worker.start(job)
        job.attending = self._keep(self._attend(job))
        return job.attending

    async def _attend(self, job: Job) -> None:
        try:
            await self._worker.see_to(job)
        finally:
            if job.ticket is not None:
                self._queue.leave(job.ticket)
            self._observer.queued(self._queue.waiting, self._queue.running)
            del self._jobs[key_of(job.message)]
        if job.remembered and not self._queue.waiting and not self._queue.running:
            self._keep(self._answerer.prepare(job.message, job.language))

    def _keep(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A task of the core ended with an error", exc_info=error)

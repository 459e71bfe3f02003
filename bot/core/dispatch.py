"""Takes messages in, runs one task for each that asks for something, and sees every one of them to its end."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from bot.core import triage
from bot.core.answer import Answered, Answerer, Draft
from bot.core.attachments import AttachmentReader
from bot.core.commands import Call, Commands
from bot.core.errors import ReplyFailed
from bot.core.events import Closing, ConversationId, Message, PostedPart, Timings
from bot.core.failures import Hopeless, Undelivered, explain
from bot.core.history import History
from bot.core.journal import Attempt, Key, key_of
from bot.core.language import Languages
from bot.core.observe import Observer, Outcome
from bot.core.pace import Pace
from bot.core.ports import Adapter, Ended, Reply
from bot.core.queue import FairQueue, Ticket, TooManyWaiting
from bot.core.settings import CoreSettings
from bot.core.texts import Language, say
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """A message being seen to. `work` is what `stop` cancels, until `closing` is set.

    `left_open`: an earlier process received the message and did not see it to its end. `delivering`: the platform is
    getting the final text, which the journal holds. `revised`: the question as it was edited, to start over with.
    """

    message: Message
    decision: triage.Answer | triage.RunCommand | triage.Refuse
    reply: Reply
    arrived: float = field(default_factory=time.monotonic)
    ticket: Ticket | None = None
    draft: Draft | None = None
    work: asyncio.Task[None] | None = None
    left_open: bool = False
    opened: bool = False
    closing: bool = False
    delivering: bool = False
    revised: Message | None = None
    language: Language = "en"


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
        self._attachments = attachments
        self._observer = observer
        self._languages = Languages(history, settings.language)
        self._pace = Pace(settings.answers_per_minute, settings.pause_s)
        self._commands = commands(self)
        self._policy = triage.Policy(
            settings.command_prefix,
            self._commands.words,
            frozenset(settings.blocked_people),
            settings.question_characters,
        )
        self._jobs: dict[Key, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, message: Message, reply: Reply) -> Ended | None:
        """Take a message; returns when it is journaled and never waits for the answer, whose end it returns."""
        decision = triage.decide(message, self._policy)
        if isinstance(decision, triage.Ignore):
            return None
        job = Job(message, decision, reply)
        try:
            return self._start(job) if await self._receive(job) else None
        except (DatabaseDamaged, DatabaseUnusable) as error:
            return self._keep(self._end_failed(job, error))

    async def resume(self, adapter: Adapter) -> list[Ended]:
        """Answer what an earlier process left unanswered on the adapter's platform, oldest first."""
        resumed: list[Ended] = []
        for message in await self._history.journal.open_messages(adapter.platform):
            if key_of(message) in self._jobs:
                continue
            decision = triage.decide(message, self._policy)
            if isinstance(decision, triage.Ignore):  # blocked since
                await self._history.journal.end(key_of(message), "cancelled")
                continue
            resumed.append(self._start(Job(message, decision, adapter.reply_to(message), left_open=True)))
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
        """Let running answers end for `drain_s`, then leave the rest to the next process."""
        if self._tasks and self._queue.running:
            await asyncio.wait(self._tasks, timeout=self._settings.drain_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _receive(self, job: Job) -> bool:
        """Journal a message; False when it was taken before, or its conversation is paused."""
        message, journal = job.message, self._history.journal
        if await journal.knows(key_of(message)):
            return False  # before the pace counts: what a platform repeats after a restart is nobody's haste
        verdict = self._pace.check(message.conversation, time.monotonic())
        if verdict == "pause":
            job.decision = triage.Refuse("pace_paused", {"minutes": round(self._settings.pause_s / 60) or 1})
        return await journal.receive(message, ignored=verdict == "paused") and verdict != "paused"

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
        job.work = asyncio.create_task(self._work(job))
        return self._keep(self._see_to(job))

    def _keep(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A task of the core ended with an error", exc_info=error)

    async def _see_to(self, job: Job) -> None:
        """Wait for the work; when it was stopped or failed, tell the person and the journal."""
        key = key_of(job.message)
        assert job.work is not None  # _start made it
        try:
            await asyncio.wait({job.work})
            while job.work.cancelled() and job.revised is not None:
                job.work = asyncio.create_task(self._start_over(job, job.revised))
                await asyncio.wait({job.work})
            if job.work.cancelled():
                await self._end_stopped(job)
            elif (error := job.work.exception()) is not None:
                await self._end_failed(job, error)
        except asyncio.CancelledError:
            job.work.cancel()
            await asyncio.wait({job.work})
            await self._history.journal.release(key)
            raise
        finally:
            if job.ticket is not None:
                self._queue.leave(job.ticket)
            self._observer.queued(self._queue.waiting, self._queue.running)
            del self._jobs[key]

    async def _work(self, job: Job) -> None:
        attempt = await self._open(job)
        if attempt is None:
            return
        if attempt.written is not None:
            await self._deliver(job, attempt.written)
        elif attempt.hopeless:
            raise Hopeless(attempt.crashes)
        else:
            await self._proceed(job)

    async def _start_over(self, job: Job, message: Message) -> None:
        job.message, job.revised, job.draft = message, None, None
        await self._history.journal.revise(message)
        decision = triage.decide(message, self._policy)
        # Edited into something that is no question any more, it is treated as an empty one.
        job.decision = decision if isinstance(decision, triage.Answer) else triage.Refuse("empty_question")
        if not job.opened:
            await self._work(job)
            return
        await job.reply.replace("")
        await self._proceed(job)

    async def _proceed(self, job: Job) -> None:
        if isinstance(job.decision, triage.Answer):
            await self._answer(job, job.decision.question)
        else:
            await self._history.journal.begin(key_of(job.message))
            await self._deliver(job, await self._closing_of(job))

    async def _open(self, job: Job) -> Attempt | None:
        """Begin the reply; None when the answer has ended meanwhile."""
        key = key_of(job.message)

        async def record(part: PostedPart) -> None:
            await self._history.journal.record(key, part)

        attempt = await self._history.journal.reopen(key) if job.left_open else Attempt()
        if attempt is not None:
            job.language = await self._languages.of(job.message)
            await job.reply.open(attempt.number, attempt.posted, record)
            job.opened = True
        return attempt

    async def _closing_of(self, job: Job) -> Closing:
        if isinstance(job.decision, triage.RunCommand):
            call = Call(job.message, job.decision.argument, job.language, job.reply)
            return await self._commands.run(job.decision.name, call)
        assert isinstance(job.decision, triage.Refuse)
        return Closing(say(job.decision.text, job.language, **job.decision.values))

    async def _answer(self, job: Job, question: str) -> None:
        assert job.ticket is not None  # _start gave one, or made the question a refusal
        draft = Draft(job.message, question, job.language, job.reply, job.ticket, job.arrived)
        draft.attached, unread = await self._attachments.read(job.message, job.language)
        draft.notes.extend(unread)
        job.draft = draft
        answered = await self._answerer.answer(draft)
        await self._write(job, answered)
        self._queue.free(job.ticket)  # others may use the engine while the platform takes the text at its own pace
        await self._deliver(job, answered.closing)
        self._observer.ended(answered.outcome, answered.closing.timings)
        if answered.keep_turns:
            self._prepare_ahead(job)

    def _prepare_ahead(self, job: Job) -> None:
        if not self._queue.waiting and not self._queue.running:
            self._keep(self._answerer.prepare(job.message, job.language))

    async def _write(self, job: Job, answered: Answered) -> None:
        job.closing = True
        await self._history.journal.write(
            job.message, answered.closing, answered.outcome, sorted(answered.collections), answered.keep_turns
        )

    async def _deliver(self, job: Job, closing: Closing) -> None:
        job.closing = job.delivering = True
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                await job.reply.finish(closing)
        except TimeoutError as error:
            raise Undelivered(self._settings.send_timeout_s) from error
        await self._history.journal.end(key_of(job.message))

    async def _end_stopped(self, job: Job) -> None:
        """A stopped answer keeps what was shown of it."""
        note = say("stopped", job.language)
        draft = job.draft
        self._observer.ended("cancelled", draft.timings if draft else Timings())
        if draft is None or not draft.text.strip():
            await self._tell(job, note, "cancelled")
            return
        closing = Closing(draft.text, draft.sources, note, draft.timings)
        await self._write(job, Answered(closing, "cancelled", draft.collections, keep_turns=True))
        await self._deliver(job, closing)

    async def _end_failed(self, job: Job, error: BaseException) -> None:
        explained = explain(error)
        self._observer.failed(explained.kind)
        where = f"{job.message.conversation} {job.message.event_id}"
        if explained.expected:
            log.warning("No answer to %s: %s", where, error)
        else:
            log.error("No answer to %s", where, exc_info=error)
        if isinstance(error, ReplyFailed):
            await self._history.journal.end(key_of(job.message), "failed")
        elif not job.delivering:  # else it stays in the journal, and the next start delivers it
            await self._tell(job, explained.sentence(job.language), "failed")

    async def _tell(self, job: Job, sentence: str, state: Outcome) -> None:
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                if not job.opened and await self._open(job) is None:
                    return
                await job.reply.fail(sentence)
            await self._history.journal.end(key_of(job.message), state)
        except (ReplyFailed, TimeoutError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("%s %s could not be told: %s", job.message.conversation, job.message.event_id, error)

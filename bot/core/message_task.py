"""Sees one message to its end: answers, runs or refuses it, tells what went wrong, and keeps the journal."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.core import triage
from bot.core.answer import Answered, Answerer, Draft
from bot.core.attachments import AttachmentReader
from bot.core.commands import Call, Commands
from bot.core.errors import ReplyFailed
from bot.core.failures import Hopeless, Undelivered, explain
from bot.core.journal import Attempt, Journal, key_of
from bot.core.language import Languages
from bot.core.messages import Closing, Message, PostedPart, Timings
from bot.core.observe import Observer, Outcome
from bot.core.ports import Reply
from bot.core.queue import FairQueue, Ticket
from bot.core.texts import Language, say
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable

log = logging.getLogger(__name__)

Decide = Callable[[Message], triage.Decision]


@dataclass(eq=False)
class Job:
    """A message being seen to. `work` is what `stop` cancels, until `closing` is set; `attending` waits for it.

    `left_open`: an earlier process received the message and did not see it to its end. `delivering`: the platform is
    getting the final text, which the journal holds. `revised`: the question as it was edited, to start over with.
    `remembered`: its turns are part of the history.
    """

    message: Message
    decision: triage.Answer | triage.RunCommand | triage.Refuse
    reply: Reply
    arrived: float = field(default_factory=time.monotonic)
    ticket: Ticket | None = None
    draft: Draft | None = None
    work: asyncio.Task[None] | None = None
    attending: asyncio.Task[None] | None = None
    left_open: bool = False
    opened: bool = False
    closing: bool = False
    delivering: bool = False
    revised: Message | None = None
    remembered: bool = False
    language: Language = "en"

    @property
    def is_waiting(self) -> bool:
        """Whether the message only waits for its turn at the engine."""
        return self.ticket is not None and not self.ticket.admitted.is_set()


class Worker:
    """What the tasks of all messages do."""

    def __init__(
        self,
        *,
        journal: Journal,
        queue: FairQueue,
        answerer: Answerer,
        commands: Commands,
        attachments: AttachmentReader,
        languages: Languages,
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

    def start(self, job: Job) -> None:
        """Begin to work on a message, in a task that may be cancelled."""
        job.work = asyncio.create_task(self._work(job))

    async def see_to(self, job: Job) -> None:
        """Wait for the work; when it was stopped or failed, tell the person and the journal."""
        assert job.work is not None, "the job was started"
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
            await self._journal.release(key_of(job.message))
            raise

    async def refuse(self, job: Job, error: Exception) -> None:
        """Tell why a message could not even be taken in."""
        await self._end_failed(job, error)

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
        await self._journal.revise(message)
        decision = self._decide(message)
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
            await self._journal.begin(key_of(job.message))
            await self._deliver(job, await self._closing_of(job))

    async def _open(self, job: Job) -> Attempt | None:
        """Begin the reply; None when the answer has ended meanwhile."""
        key = key_of(job.message)

        async def record(part: PostedPart) -> None:
            await self._journal.record(key, part)

        attempt = await self._journal.reopen(key) if job.left_open else Attempt()
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
        job.remembered = answered.keep_turns

    async def _write(self, job: Job, answered: Answered) -> None:
        job.closing = True
        await self._journal.write(
            job.message, answered.closing, answered.outcome, sorted(answered.collections), answered.keep_turns
        )

    async def _deliver(self, job: Job, closing: Closing) -> None:
        job.closing = job.delivering = True
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await job.reply.finish(closing)
        except TimeoutError as error:
            raise Undelivered(self._send_timeout_s) from error
        await self._journal.end(key_of(job.message))

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
            await self._journal.end(key_of(job.message), "failed")
        elif not job.delivering:  # else it stays in the journal, and the next start delivers it
            await self._tell(job, explained.sentence(job.language), "failed")

    async def _tell(self, job: Job, sentence: str, state: Outcome) -> None:
        try:
            async with asyncio.timeout(self._send_timeout_s):
                if not job.opened and await self._open(job) is None:
                    return
                await job.reply.fail(sentence)
            await self._journal.end(key_of(job.message), state)
        except (ReplyFailed, TimeoutError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("%s %s could not be told: %s", job.message.conversation, job.message.event_id, error)

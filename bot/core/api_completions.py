"""Answers other programs: through the same queue and engine as people; nothing of it is stored."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import count

from bot.core.costs import with_costs
from bot.core.failures import explain
from bot.core.messages import Audience, ConversationId, Source, Timings
from bot.core.observe import Observer, Outcome
from bot.core.prompt_building import cited
from bot.core.queue import FairQueue, Ticket
from bot.core.retrieval_prompt import Consultant, Consulted, Inquiry, least_tokens
from models.engine import STATELESS_PREFIX, Engine, EngineFailed, Prompt, PromptTooLong, Sampling, Turn, Usage

PLATFORM = "api"


@dataclass(frozen=True, slots=True)
class Completion:
    """What another program asks. `turns` ends with a user's; `documents`: answer from what the caller may read.

    `behind` puts it behind people in the queue; `open_limit` is how many the caller may have open at once.
    """

    caller: str
    turns: tuple[Turn, ...]
    documents: bool
    sampling: Sampling
    behind: int = 1
    open_limit: int = 4

    @property
    def reader(self) -> str:
        """The caller as a reader of collections and as a person of the queue."""
        return f"{PLATFORM}:{self.caller}"


@dataclass(frozen=True, slots=True)
class Completed:
    """How it ended: what the answer rests on, sentences about it, and what it cost (None: no model was asked)."""

    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    usage: Usage | None = None


@dataclass
class Progress:
    """How far an answer is. Times are monotonic seconds."""

    began: float = field(default_factory=time.monotonic)
    text: str = ""
    outcome: Outcome = "cancelled"
    timings: Timings = field(default_factory=Timings)

    def note(self, **times: float) -> None:
        """Remember figures of `Timings`."""
        self.timings = replace(self.timings, **times)  # type: ignore[arg-type]

    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began


class Completer:
    """Makes the answers."""

    def __init__(
        self, engine: Engine, queue: FairQueue, consultant: Consultant, observer: Observer, token_timeout_s: float
    ) -> None:
        """`token_timeout_s` is how long the model may stay silent."""
        self._engine = engine
        self._queue = queue
        self._consultant = consultant
        self._observer = observer
        self._token_timeout_s = token_timeout_s
        self._numbers = count(1)

    @property
    def model(self) -> str:
        """The model's own name."""
        return self._engine.name

    def wait_s(self) -> float:
        """Seconds that a call now would wait for its first token, as far as the engine can tell."""
        return self._engine.estimate() * (self._queue.waiting + 1)

    def enter(self, completion: Completion) -> Ticket:
        """Take a place in the queue; hand it to `stream`, which gives it back. Raises TooManyWaiting."""
        # Calls know nothing of each other: each is a conversation of its own and waits for no other's end.
        conversation = ConversationId(f"{completion.reader}/{next(self._numbers)}")
        ticket = self._queue.enter(completion.reader, conversation, completion.behind, completion.open_limit)
        self._observer.queued(self._queue.waiting, self._queue.running)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a place back, whether `stream` has done so or not."""
        self._queue.leave(ticket)
        self._observer.queued(self._queue.waiting, self._queue.running)

    async def stream(self, completion: Completion, ticket: Ticket) -> AsyncGenerator[str | Completed, None]:
        """Pieces of the answer as they come, then exactly one `Completed`. Closing it stops the model within a step.
        It is for one task to read: when the model falls silent, the task that asked first is woken.

        Raises PromptTooLong before anything is made, EngineFailed and TimeoutError when the model does not answer.
        """
        progress = Progress()
        try:
            consulted = await self._consulted(completion)
            await ticket.admitted.wait()
            self._observer.queued(self._queue.waiting, self._queue.running)
            progress.note(queued_s=progress.elapsed_s())
            async with aclosing(self._answer(completion, consulted, progress)) as answer:
                async for item in answer:
                    yield item
            progress.outcome = "answered" if consulted.prompt else "unsupported"
        except (PromptTooLong, EngineFailed, TimeoutError) as error:
            progress.outcome = "failed"
            self._observer.failed(explain(error).kind)
            raise
        finally:
            self.leave(ticket)
            progress.note(total_s=progress.elapsed_s())
            self._observer.ended(progress.outcome, progress.timings)

    async def _consulted(self, completion: Completion) -> Consulted:
        system = "\n\n".join(turn.text for turn in completion.turns if turn.role == "system")
        said = tuple(turn for turn in completion.turns if turn.role != "system")
        question = said[-1].text
        if not completion.documents:
            self._refuse_what_cannot_fit(Turn("system", system), *said)
            return Consulted(Prompt(system, said[:-1], question))
        self._refuse_what_cannot_fit(Turn("system", system), said[-1])  # the history may be cut
        audience = Audience(frozenset({completion.reader}), private=True)
        # A sentence of ours is no JSON: there the model answers, whatever was found.
        must_ask = completion.sampling.json_schema is not None
        return await self._consultant.consult(
            Inquiry(question, said[:-1], system, audience, completion.sampling.max_tokens, must_ask=must_ask)
        )

    def _refuse_what_cannot_fit(self, *turns: Turn) -> None:
        if (tokens := sum(map(least_tokens, turns))) > self._engine.context_tokens:
            raise PromptTooLong(tokens, self._engine.context_tokens)

    async def _answer(
        self, completion: Completion, consulted: Consulted, progress: Progress
    ) -> AsyncGenerator[str | Completed, None]:
        if consulted.prompt is None:
            yield consulted.note
            yield Completed()
            return
        key = STATELESS_PREFIX + completion.reader
        clock = asyncio.get_running_loop().time
        async with (
            aclosing(self._engine.stream(consulted.prompt, key, completion.sampling)) as pieces,
            asyncio.timeout(self._token_timeout_s) as silence,
        ):
            async for item in pieces:
                silence.reschedule(None)  # the time that the reader takes is not the model's
                yield _completed(consulted, progress, item) if isinstance(item, Usage) else _grown(progress, item)
                silence.reschedule(clock() + self._token_timeout_s)


def _grown(progress: Progress, piece: str) -> str:
    if not progress.text:
        progress.note(first_token_s=progress.elapsed_s())
    progress.text += piece
    return piece


def _completed(consulted: Consulted, progress: Progress, usage: Usage) -> Completed:
    progress.timings = with_costs(progress.timings, usage)
    notes = (consulted.note, consulted.if_cut if usage.finish == "length" else "")
    return Completed(cited(progress.text, consulted.sources), tuple(filter(None, notes)), usage)

"""Answers other programs: through the same queue and engine as people; nothing of it is stored."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import count

from bot.core.costs import with_usage
from bot.core.failures import explain_error
from bot.core.messages import Audience, ConversationId, Source, Timings
from bot.core.observe import Observer, Outcome
from bot.core.prompt_building import cited_sources
from bot.core.queue import FairQueue, Ticket
from bot.core.retrieval_prompt import ApiQuestion, PreparedPrompt, RetrievalPromptBuilder, min_tokens
from models.engine import STATELESS_PREFIX, Engine, EngineFailed, Prompt, PromptTooLong, Sampling, Turn, Usage

PLATFORM = "api"


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What another program asks. `turns` ends with a user's; `use_documents`: answer from what the caller may read.

    `priority` puts it behind people in the queue; `open_limit` is how many the caller may have open at once.
    """

    caller: str
    turns: tuple[Turn, ...]
    use_documents: bool
    sampling: Sampling
    priority: int = 1
    open_limit: int = 4

    @property
    def reader_name(self) -> str:
        """The caller as a reader of collections and as a person of the queue."""
        return f"{PLATFORM}:{self.caller}"


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """How it ended: what the answer rests on, sentences about it, and what it cost (None: no model was asked)."""

    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    usage: Usage | None = None


@dataclass
class CompletionProgress:
    """How far an answer is. Times are monotonic seconds."""

    began_s: float = field(default_factory=time.monotonic)
    text: str = ""
    outcome: Outcome = "cancelled"
    timings: Timings = field(default_factory=Timings)

    def record_times(self, **times: float) -> None:
        """Remember figures of `Timings`."""
        self.timings = replace(self.timings, **times)  # type: ignore[arg-type]

    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began_s


class CompletionService:
    """Makes the answers."""

    def __init__(
        self,
        engine: Engine,
        queue: FairQueue,
        consultant: RetrievalPromptBuilder,
        observer: Observer,
        generation_stall_timeout_s: float,
    ) -> None:
        """`generation_stall_timeout_s` is how long the model may stay silent."""
        self._engine = engine
        self._queue = queue
        self._prompt_builder = consultant
        self._observer = observer
        self._token_timeout_s = generation_stall_timeout_s
        self._numbers = count(1)

    @property
    def model_name(self) -> str:
        """The model's own name."""
        return self._engine.name

    def expected_wait_s(self) -> float:
        """Seconds that a call now would wait for its first token, as far as the engine can tell."""
        return self._engine.estimate() * (self._queue.waiting_count + 1)

    def take_ticket(self, completion: CompletionRequest) -> Ticket:
        """Take a place in the queue; hand it to `stream_answer`, which gives it back. Raises TooManyWaiting."""
        # Calls know nothing of each other: each is a conversation of its own and waits for no other's end.
        conversation = ConversationId(f"{completion.reader_name}/{next(self._numbers)}")
        ticket = self._queue.take_ticket(
            completion.reader_name, conversation, completion.priority, completion.open_limit
        )
        self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)
        return ticket

    def release_ticket(self, ticket: Ticket) -> None:
        """Give a place back, whether `stream_answer` has done so or not."""
        self._queue.release_ticket(ticket)
        self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)

    async def stream_answer(
        self, completion: CompletionRequest, ticket: Ticket
    ) -> AsyncGenerator[str | CompletionResult, None]:
        """Pieces of the answer as they come, then exactly one `CompletionResult`. Closing it stops the model.
        It is for one task to read: when the model falls silent, the task that asked first is woken.

        Raises PromptTooLong before anything is made, EngineFailed and TimeoutError when the model does not answer.
        """
        progress = CompletionProgress()
        try:
            consulted = await self._prepare_prompt(completion)
            await ticket.admitted.wait()
            self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)
            progress.record_times(queued_s=progress.elapsed_s())
            async with aclosing(self._answer(completion, consulted, progress)) as answer:
                async for item in answer:
                    yield item
            progress.outcome = "answered" if consulted.prompt else "unsupported"
        except (PromptTooLong, EngineFailed, TimeoutError) as error:
            progress.outcome = "failed"
            self._observer.error_reported(explain_error(error).kind)
            raise
        finally:
            self.release_ticket(ticket)
            progress.record_times(total_s=progress.elapsed_s())
            self._observer.answer_ended(progress.outcome, progress.timings)

    async def _prepare_prompt(self, completion: CompletionRequest) -> PreparedPrompt:
        system = "\n\n".join(turn.text for turn in completion.turns if turn.role == "system")
        said = tuple(turn for turn in completion.turns if turn.role != "system")
        question = said[-1].text
        if not completion.use_documents:
            self._check_prompt_fits(Turn("system", system), *said)
            return PreparedPrompt(Prompt(system, said[:-1], question))
        self._check_prompt_fits(Turn("system", system), said[-1])  # the history may be cut
        audience = Audience(frozenset({completion.reader_name}), private=True)
        # A sentence of ours is no JSON: there the model answers, whatever was found.
        must_ask = completion.sampling.json_schema is not None
        return await self._prompt_builder.build_prompt(
            ApiQuestion(question, said[:-1], system, audience, completion.sampling.max_tokens, requires_model=must_ask)
        )

    def _check_prompt_fits(self, *turns: Turn) -> None:
        if (tokens := sum(map(min_tokens, turns))) > self._engine.context_tokens:
            raise PromptTooLong(tokens, self._engine.context_tokens)

    async def _answer(
        self, completion: CompletionRequest, consulted: PreparedPrompt, progress: CompletionProgress
    ) -> AsyncGenerator[str | CompletionResult, None]:
        if consulted.prompt is None:
            yield consulted.note
            yield CompletionResult()
            return
        key = STATELESS_PREFIX + completion.reader_name
        clock = asyncio.get_running_loop().time
        async with (
            aclosing(self._engine.stream(consulted.prompt, key, completion.sampling)) as pieces,
            asyncio.timeout(self._token_timeout_s) as silence,
        ):
            async for item in pieces:
                silence.reschedule(None)  # the time that the reader takes is not the model's
                yield (
                    _to_result(consulted, progress, item) if isinstance(item, Usage) else _append_piece(progress, item)
                )
                silence.reschedule(clock() + self._token_timeout_s)


def _append_piece(progress: CompletionProgress, piece: str) -> str:
    if not progress.text:
        progress.record_times(first_token_s=progress.elapsed_s())
    progress.text += piece
    return piece


def _to_result(consulted: PreparedPrompt, progress: CompletionProgress, usage: Usage) -> CompletionResult:
    progress.timings = with_usage(progress.timings, usage)
    notes = (consulted.note, consulted.truncation_note if usage.finish == "length" else "")
    return CompletionResult(cited_sources(progress.text, consulted.sources), tuple(filter(None, notes)), usage)

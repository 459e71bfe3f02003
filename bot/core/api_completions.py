"""Answers to API clients, through the same queue and engine as chats; nothing is stored."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import count

from bot.core.client_history import clean_history, fit_history, min_tokens, split_at_question
from bot.core.failures import explain_error
from bot.core.messages import Audience, ConversationId, Source, Timings
from bot.core.observe import Observer, Outcome
from bot.core.prompt_building import cited_sources
from bot.core.queue import FairQueue, Ticket
from bot.core.retrieval_prompt import PromptRequest, RetrievalPromptBuilder
from bot.core.texts import localize
from models.engine import (
    STATELESS_PREFIX,
    Engine,
    EngineFailed,
    Prompt,
    PromptTooLong,
    RawPrompt,
    ReasoningEffort,
    Sampling,
    ThinkingText,
    Turn,
    Usage,
)
from models.tool_calls import Toolbox, ToolCallPiece

PLATFORM = "api"

MAX_UNREAD_CHARACTERS = 1_000_000
"""Text kept for a client that reads more slowly than the model writes; more than any model writes in one answer."""

MAX_CONTEXT_CHARACTERS = 4000
"""Of the previous question; longer ones were pasted, and searching with 1.7 MB takes half a second."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A request of an API client. `turns` ends with a user's or a tool's; `use_documents`: answer from the collections
    that the caller may read; `toolbox` has the tools that the model may call; `reply_start` is the beginning of the
    answer. A `raw` prompt is continued in place of turns.

    `priority` 1 queues it after the questions of people; `open_limit`: how many requests the caller may have open
    at once.
    """

    caller: str
    turns: tuple[Turn, ...]
    use_documents: bool
    sampling: Sampling
    priority: int = 1
    open_limit: int = 4
    reasoning_effort: ReasoningEffort | None = None
    toolbox: Toolbox | None = None
    reply_start: str = ""
    raw: RawPrompt | None = None

    @property
    def reader_name(self) -> str:
        """The caller's name as a reader of collections and in the queue."""
        return f"{PLATFORM}:{self.caller}"


@dataclass(frozen=True, slots=True)
class CompletionResult:
    """The end of an answer: its sources, sentences to show below it, and its token usage (None: no model ran)."""

    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    usage: Usage | None = None


CompletionItem = str | ThinkingText | ToolCallPiece | CompletionResult
"""A piece of the answer, one of the thinking before it, one of a call of a tool, or the end."""


@dataclass(frozen=True, slots=True)
class PreparedCompletion:
    """A prompt and the parts of its `CompletionResult`. Without a prompt, the notes are the answer.

    `truncation_note` is added when the answer reaches its length limit.
    """

    prompt: Prompt | RawPrompt | None
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    truncation_note: str = ""


@dataclass
class CompletionProgress:
    """The state of an answer. Times are monotonic seconds."""

    began_s: float = field(default_factory=time.monotonic)
    text: str = ""
    outcome: Outcome = "cancelled"
    timings: Timings = field(default_factory=Timings)

    def record_times(self, **times: float) -> None:
        """Set fields of `Timings`."""
        self.timings = replace(self.timings, **times)  # type: ignore[arg-type]

    def elapsed_s(self) -> float:
        """Seconds since the request began."""
        return time.monotonic() - self.began_s


class CompletionService:
    """Generates the answers."""

    def __init__(
        self,
        engine: Engine,
        queue: FairQueue,
        prompt_builder: RetrievalPromptBuilder,
        observer: Observer,
        generation_stall_timeout_s: float,
    ) -> None:
        """`generation_stall_timeout_s`: the longest time without a token."""
        self._engine = engine
        self._queue = queue
        self._prompt_builder = prompt_builder
        self._observer = observer
        self._stall_timeout_s = generation_stall_timeout_s
        self._numbers = count(1)

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self._engine.name

    @property
    def context_tokens(self) -> int:
        """Context size in tokens, prompt and answer together."""
        return self._engine.context_tokens

    def expected_wait_s(self) -> float:
        """The engine's estimate of the seconds until the first token of a request made now."""
        return self._engine.estimate() * (self._queue.waiting_count + 1)

    def take_ticket(self, completion: CompletionRequest) -> Ticket:
        """Take a ticket for `stream_answer`. Release it when the client has the answer. Raises TooManyWaiting."""
        # Requests are independent: each is a conversation of its own, so none waits for another to end.
        conversation = ConversationId(f"{completion.reader_name}/{next(self._numbers)}")
        ticket = self._queue.take_ticket(
            completion.reader_name, conversation, completion.priority, completion.open_limit, is_ready=False
        )
        self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)
        return ticket

    def release_ticket(self, ticket: Ticket) -> None:
        """Release a ticket; a second call does nothing."""
        self._queue.release_ticket(ticket)
        self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)

    async def stream_answer(
        self, completion: CompletionRequest, ticket: Ticket
    ) -> AsyncGenerator[CompletionItem, None]:
        """Pieces of thinking and answer as they are generated, then exactly one `CompletionResult`. Closing it stops
        the model.

        The model writes at its own speed, and its place is free once it has written: what a slow client has not read
        waits in memory. The ticket counts as open until the answer was read. Raises PromptTooLong before anything is
        generated, EngineFailed and TimeoutError when the model does not answer.
        """
        written = _UnreadAnswer()
        generating = asyncio.create_task(self._generate(completion, ticket, written))
        generating.add_done_callback(written.wake_reader)
        try:
            while (item := await written.next_item(generating)) is not None:
                yield item
            generating.result()
        finally:
            generating.cancel()
            await asyncio.wait({generating})
            self.release_ticket(ticket)

    async def _generate(self, completion: CompletionRequest, ticket: Ticket, written: "_UnreadAnswer") -> None:
        progress = CompletionProgress()
        try:
            prepared = await self._prepare_prompt(completion)
            self._queue.mark_ready(ticket)
            await ticket.admitted.wait()
            self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)
            progress.record_times(queued_s=progress.elapsed_s())
            async with aclosing(self._answer(completion, prepared, progress)) as answer:
                async for item in answer:
                    written.add_item(item)
            progress.outcome = "answered" if prepared.prompt else "unsupported"
        except (PromptTooLong, EngineFailed, TimeoutError) as error:
            progress.outcome = "failed"
            self._observer.error_reported(explain_error(error).kind)
            raise
        finally:
            self._queue.release_engine(ticket)
            self._observer.queue_changed(self._queue.waiting_count, self._queue.running_count)
            progress.record_times(total_s=progress.elapsed_s())
            self._observer.answer_ended(progress.outcome, progress.timings)

    async def _prepare_prompt(self, completion: CompletionRequest) -> PreparedCompletion:
        if completion.raw is not None:
            self._check_prompt_fits(Turn("user", completion.raw.text), Turn("user", completion.raw.suffix or ""))
            return PreparedCompletion(completion.raw)
        around = (Turn("assistant", completion.reply_start), *_tool_turns(completion.toolbox))
        instructions = "\n\n".join(turn.text for turn in completion.turns if turn.role == "system")
        turns = [turn for turn in completion.turns if turn.role != "system"]
        if not completion.use_documents:
            self._check_prompt_fits(Turn("system", instructions), *turns, *around)
            return PreparedCompletion(_prompt(instructions, turns, completion.toolbox))
        history, question, since = split_at_question(turns)
        # The history may be cut.
        self._check_prompt_fits(Turn("system", instructions), question, *since, *around)
        request = PromptRequest(
            question.text,
            self._prompt_builder.language_of(question.text),
            Audience(frozenset({completion.reader_name}), private=True),
            completion.sampling.max_tokens,
            instructions=instructions,
            # A refusal is no JSON: with a schema the model answers in any case; and a tool may know what documents do
            # not.
            requires_model=completion.sampling.json_schema is not None or completion.toolbox is not None,
        )
        prepared = await self._retrieve(request, history, completion.reply_start)
        if not isinstance(prepared.prompt, Prompt):
            return prepared
        asked = [*prepared.prompt.history, Turn("user", prepared.prompt.tail), *since]
        return replace(prepared, prompt=_prompt(prepared.prompt.system, asked, completion.toolbox))

    async def _retrieve(self, request: PromptRequest, history: Sequence[Turn], reply_start: str) -> PreparedCompletion:
        builder = self._prompt_builder
        turns = clean_history(history, builder.collections_of(request.audience))
        previous = next((turn.text for turn in reversed(turns) if turn.role == "user"), "")
        retrieval = await builder.retrieve(request, previous[:MAX_CONTEXT_CHARACTERS], has_history=bool(turns))
        if retrieval.refusal:
            return PreparedCompletion(None, notes=(retrieval.refusal,))
        room = builder.budget(request).history_tokens - self._engine.count_tokens(reply_start)
        kept = fit_history(turns, self._engine.count_tokens, max(0, room))
        prepared = builder.build_prompt(request, retrieval, kept)
        notes = (*prepared.notes, prepared.unsupported_note)
        return PreparedCompletion(prepared.prompt, prepared.sources, notes, localize("cut_short", request.language))

    def _check_prompt_fits(self, *turns: Turn) -> None:
        if (tokens := sum(map(min_tokens, turns))) > self._engine.context_tokens:
            raise PromptTooLong(tokens, self._engine.context_tokens)

    async def _answer(
        self, completion: CompletionRequest, prepared: PreparedCompletion, progress: CompletionProgress
    ) -> AsyncGenerator[CompletionItem, None]:
        if prepared.prompt is None:
            yield "\n\n".join(prepared.notes)
            yield CompletionResult()
            return
        key = STATELESS_PREFIX + completion.reader_name
        if isinstance(prepared.prompt, RawPrompt):
            stream = self._engine.complete(prepared.prompt, key, completion.sampling)
        else:
            prompt = replace(
                prepared.prompt, reasoning_effort=completion.reasoning_effort, reply_start=completion.reply_start
            )
            stream = self._engine.stream(prompt, key, completion.sampling)
        clock = asyncio.get_running_loop().time
        async with (
            aclosing(stream) as pieces,
            asyncio.timeout(self._stall_timeout_s) as stall_timeout,
        ):
            async for item in pieces:
                stall_timeout.reschedule(clock() + self._stall_timeout_s)
                if isinstance(item, Usage):
                    yield _to_result(prepared, progress, item, completion.reply_start)
                else:
                    yield _note_piece(progress, item)


class _UnreadAnswer:
    """Generated items that the client has not read yet."""

    def __init__(self) -> None:
        self._items: deque[CompletionItem] = deque()
        self._characters = 0
        self._changed = asyncio.Event()

    def add_item(self, item: CompletionItem) -> None:
        """Keep an item for the client. Raises EngineFailed when it has left too much unread."""
        self._characters += _length(item)
        if self._characters > MAX_UNREAD_CHARACTERS:
            raise EngineFailed(f"The answer was stopped: {MAX_UNREAD_CHARACTERS} characters of it were not read.")
        self._items.append(item)
        self._changed.set()

    async def next_item(self, writing: asyncio.Task[None]) -> CompletionItem | None:
        """The next item, as soon as there is one; None when the writing task has ended and all was read."""
        while not self._items and not writing.done():
            self._changed.clear()
            await self._changed.wait()
        if not self._items:
            return None
        item = self._items.popleft()
        self._characters -= _length(item)
        return item

    def wake_reader(self, _: object) -> None:
        """Let the reader look whether the writing has ended."""
        self._changed.set()


def _length(item: CompletionItem) -> int:
    if isinstance(item, CompletionResult):
        return 0
    if isinstance(item, ToolCallPiece):
        return len(item.arguments)
    return len(item if isinstance(item, str) else item.text)


def _note_piece(
    progress: CompletionProgress, piece: str | ThinkingText | ToolCallPiece
) -> str | ThinkingText | ToolCallPiece:
    if not isinstance(piece, ThinkingText) and not progress.timings.first_token_s:
        progress.record_times(first_token_s=progress.elapsed_s())
    if isinstance(piece, str):
        progress.text += piece
    return piece


def _prompt(system: str, turns: Sequence[Turn], toolbox: Toolbox | None) -> Prompt:
    """The prompt whose tail is the last of the turns."""
    *history, last = turns
    return Prompt(system, tuple(history), last.text, toolbox=toolbox, tail_call_id=last.call_id)


def _tool_turns(toolbox: Toolbox | None) -> list[Turn]:
    """The texts of the tools, as turns whose tokens can be estimated."""
    return [Turn("system", tool.description + tool.parameters) for tool in (toolbox.tools if toolbox else ())]


def _to_result(
    prepared: PreparedCompletion, progress: CompletionProgress, usage: Usage, reply_start: str
) -> CompletionResult:
    progress.timings = progress.timings.with_usage(usage)
    notes = (*prepared.notes, prepared.truncation_note if usage.finish == "length" else "")
    sources = cited_sources(reply_start + progress.text, prepared.sources)
    return CompletionResult(sources, tuple(filter(None, notes)), usage)

"""Answers one question: waits for its turn while it searches, streams the model's answer, and cites its sources."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from bot.core.history import History
from bot.core.journal import message_key
from bot.core.messages import FinalAnswer, Message, Source, Timings
from bot.core.observe import Observer, Outcome
from bot.core.ports import Reply
from bot.core.prompt_building import (
    TURN_OVERHEAD_TOKENS,
    PastTurn,
    cited_sources,
    count_turns_to_drop,
    new_messages,
    to_prompt_turn,
)
from bot.core.queue import FairQueue, Ticket
from bot.core.retrieval_prompt import PreparedPrompt, PromptRequest, Retrieval, RetrievalPromptBuilder
from bot.core.settings import CoreSettings
from bot.core.texts import Language, localize
from knowledge.library import Library
from knowledge.passages import Passage
from models.engine import Engine, Prompt, Sampling, Turn, Usage


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """A finished answer, its outcome, the collections it draws on, and whether its turns are kept in the history."""

    final_answer: FinalAnswer
    outcome: Outcome
    collections: frozenset[str]
    keep_turns: bool


@dataclass
class AnswerDraft:
    """An answer in progress. Times are monotonic seconds."""

    message: Message
    question: str
    language: Language
    reply: Reply
    ticket: Ticket
    arrived_s: float
    attached_passages: tuple[Passage, ...] = ()
    notes: list[str] = field(default_factory=list)
    text: str = ""
    timings: Timings = field(default_factory=Timings)
    sources: tuple[Source, ...] = ()
    collections: frozenset[str] = frozenset()

    def since_arrival_s(self) -> float:
        """Seconds since the message arrived."""
        return time.monotonic() - self.arrived_s


class Answerer:
    """Turns a question into an answer, streaming it into the reply."""

    def __init__(
        self,
        *,
        engine: Engine,
        library: Library,
        history: History,
        queue: FairQueue,
        settings: CoreSettings,
        sampling: Sampling,
        observer: Observer,
    ) -> None:
        self._engine = engine
        self._history = history
        self._queue = queue
        self._settings = settings
        self._sampling = sampling
        self._prompt_builder = RetrievalPromptBuilder(engine, library, settings, observer)

    async def answer_question(self, draft: AnswerDraft) -> AnswerResult:
        """Wait for the question's turn and answer it. Raises PromptTooLong, EngineFailed, ReplyFailed, TimeoutError.

        The search runs during the wait, so that it does not hold the engine.
        """
        request = self._prompt_request(draft.message, draft.language, draft.question, draft.attached_passages)
        searching = asyncio.create_task(self._retrieve(draft, request))
        try:
            await self._wait_for_turn(draft)
            await draft.reply.working()
            turns, retrieval = await searching
        finally:
            searching.cancel()
        if retrieval.refusal:
            return self._refused(draft, retrieval)
        return await self._generate(draft, request, turns, retrieval)

    async def warm_up_history(self, message: Message, language: Language) -> None:
        """Let the engine prefill a conversation's history before the next question."""
        request = self._prompt_request(message, language)
        turns = await self._trim(message, request, await self._past_turns(message))
        await self._engine.warm_up(message.conversation, Prompt(self._prompt_builder.system_prompt(request), turns, ""))

    def _prompt_request(
        self, message: Message, language: Language, question: str = "", attached: tuple[Passage, ...] = ()
    ) -> PromptRequest:
        return PromptRequest(
            question,
            language,
            message.audience,
            self._sampling.max_tokens,
            speaker="" if message.audience.private else message.author.name,
            attached=attached,
            context=message.context,
        )

    async def _wait_for_turn(self, draft: AnswerDraft) -> None:
        async for position in self._queue.watch_position(draft.ticket, self._settings.queue_notice_after_s):
            wait_s = self._engine.estimate() * position
            key = "queue_place_wait" if wait_s >= 1 else "queue_place"
            sentence = localize(key, draft.language, place=position, seconds=round(wait_s))
            await draft.reply.waiting(position, wait_s or None, sentence)
        await self._history.journal.mark_answering(message_key(draft.message))
        draft.timings = replace(draft.timings, queued_s=draft.since_arrival_s())

    async def _retrieve(self, draft: AnswerDraft, request: PromptRequest) -> tuple[list[PastTurn], Retrieval]:
        await draft.ticket.is_head.wait()  # the previous turn belongs to the question's context
        turns = await self._past_turns(draft.message)
        previous = next((turn.text for turn in reversed(turns) if turn.role == "user"), "")
        context = new_messages(request.context, (turn.text for turn in turns))
        earlier = "\n".join([previous, *(each.text for each in context[-2:])]).strip()
        retrieval = await self._prompt_builder.retrieve(request, earlier, has_history=bool(turns))
        draft.timings = replace(draft.timings, retrieval_s=retrieval.took_s)
        return turns, retrieval

    def _refused(self, draft: AnswerDraft, retrieval: Retrieval) -> AnswerResult:
        timings = replace(draft.timings, total_s=draft.since_arrival_s())
        # Not kept as a turn: small models repeat a refusal that they find in their history.
        refusal = FinalAnswer(retrieval.refusal, note=" ".join(draft.notes), timings=timings)
        return AnswerResult(refusal, "unsupported", frozenset(), keep_turns=False)

    async def _generate(
        self, draft: AnswerDraft, request: PromptRequest, turns: Sequence[PastTurn], retrieval: Retrieval
    ) -> AnswerResult:
        history = await self._trim(draft.message, request, turns)
        prepared = self._prompt_builder.build_prompt(request, retrieval, history)
        draft.notes.extend(prepared.notes)
        draft.sources = prepared.sources
        draft.collections = frozenset(source.collection for source in draft.sources if source.collection)
        usage = await self._stream(draft, prepared.prompt)
        return self._build_result(draft, prepared, usage)

    async def _stream(self, draft: AnswerDraft, prompt: Prompt) -> Usage | None:
        usage: Usage | None = None
        async with aclosing(self._engine.stream(prompt, draft.message.conversation, self._sampling)) as stream:
            while True:
                async with asyncio.timeout(self._settings.generation_stall_timeout_s):
                    item = await anext(stream, None)
                if item is None:
                    return usage
                if isinstance(item, Usage):
                    usage = item
                    continue
                if not draft.text:
                    draft.timings = replace(draft.timings, first_token_s=draft.since_arrival_s())
                draft.text += item
                await draft.reply.append(item)

    def _build_result(self, draft: AnswerDraft, prepared: PreparedPrompt, usage: Usage | None) -> AnswerResult:
        timings = replace(draft.timings, total_s=draft.since_arrival_s()).with_usage(usage)
        if not draft.text.strip():
            empty = FinalAnswer(localize("empty_answer", draft.language), note=" ".join(draft.notes), timings=timings)
            return AnswerResult(empty, "failed", frozenset(), keep_turns=False)
        is_cut = usage is not None and usage.finish == "length"
        cut_note = localize("cut_short", draft.language) if is_cut else ""
        notes = filter(None, (*draft.notes, cut_note, prepared.unsupported_note))
        answer = FinalAnswer(draft.text, cited_sources(draft.text, draft.sources), " ".join(notes), timings)
        return AnswerResult(answer, "answered", draft.collections, keep_turns=True)

    async def _past_turns(self, message: Message) -> list[PastTurn]:
        turns = await self._history.past_turns(message.conversation)
        collections = self._prompt_builder.collections_of(message.audience)
        kept = [turn for turn in turns if turn.collections <= collections]
        if len(kept) < len(turns):
            # The audience lost access to a collection: answers from it must not be read back from the KV cache.
            await self._engine.drop_state(message.conversation)
        return kept

    async def _trim(self, message: Message, request: PromptRequest, turns: Sequence[PastTurn]) -> tuple[Turn, ...]:
        """The turns that fit the prompt's budget; dropped ones stay out of later prompts too."""
        limit = self._prompt_builder.budget(request).history_tokens
        sizes = [self._engine.count_tokens(turn.text) + TURN_OVERHEAD_TOKENS for turn in turns]
        dropped = count_turns_to_drop(sizes, limit)
        if dropped:
            first = turns[dropped].id if dropped < len(turns) else turns[-1].id + 1
            await self._history.drop_turns_before(message.conversation, first)
        return tuple(to_prompt_turn(turn, message.audience.private) for turn in turns[dropped:])

"""Makes one answer: retrieve, prompt, stream, cite."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from bot.core import prompts
from bot.core.access import readable_collections
from bot.core.costs import with_usage
from bot.core.history import History
from bot.core.journal import message_key
from bot.core.messages import FinalAnswer, Message, Source, Timings
from bot.core.observe import Observer, Outcome
from bot.core.ports import Reply
from bot.core.prompt_building import (
    TURN_OVERHEAD_TOKENS,
    PastTurn,
    PromptBudget,
    cited_sources,
    count_turns_to_drop,
    fit_passages,
    number_sources,
    prompt_tail,
    quote_context,
    split_budget,
    to_prompt_turn,
    with_speaker,
)
from bot.core.queue import FairQueue, Ticket
from bot.core.settings import CoreSettings
from bot.core.texts import LANGUAGE_NAMES, Language, localize
from knowledge.library import Library
from knowledge.passages import Passage, SearchResult
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from models.engine import Engine, Prompt, PromptTooLong, Sampling, Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """A finished answer: what to show, how it ended, what it rests on, and whether it becomes part of the history."""

    final_answer: FinalAnswer
    outcome: Outcome
    collections: frozenset[str]
    keep_turns: bool


@dataclass
class AnswerDraft:
    """An answer in the making. Times are monotonic seconds."""

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
        """Seconds since the message came."""
        return time.monotonic() - self.arrived_s


@dataclass(frozen=True, slots=True)
class PromptMaterial:
    """What a prompt is made from: the turns that may be used, and what was found."""

    turns: tuple[PastTurn, ...]
    search_result: SearchResult
    readable_names: frozenset[str]


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
        self._library = library
        self._history = history
        self._queue = queue
        self._settings = settings
        self._sampling = sampling
        self._observer = observer

    async def answer_question(self, draft: AnswerDraft) -> AnswerResult:
        """Wait for the question's turn and answer it. Raises PromptTooLong, EngineFailed, ReplyFailed, TimeoutError.

        Searches while it waits, so that the engine's place is not held by a search.
        """
        gathering = asyncio.create_task(self._retrieve(draft))
        try:
            await self._wait_for_turn(draft)
            await draft.reply.working()
            material = await gathering
        finally:
            gathering.cancel()
        if self._is_unsupported(draft, material):
            return self._nothing_found(draft, material)
        return await self._generate(draft, material)

    async def warm_up_history(self, message: Message, language: Language) -> None:
        """Let the engine read a conversation's history ahead of the next question."""
        turns = await self._past_turns(message, self._readable_names(message))
        kept = await self._trim(message, turns, self._budget(message, language))
        history = tuple(to_prompt_turn(turn, message.audience.private) for turn in kept)
        await self._engine.warm_up(message.conversation, Prompt(self._system_prompt(message, language), history, ""))

    async def _wait_for_turn(self, draft: AnswerDraft) -> None:
        async for place in self._queue.watch_position(draft.ticket, self._settings.queue_notice_after_s):
            wait_s = self._engine.estimate() * place
            key = "queue_place_wait" if wait_s >= 1 else "queue_place"
            sentence = localize(key, draft.language, place=place, seconds=round(wait_s))
            await draft.reply.waiting(place, wait_s or None, sentence)
        await self._history.journal.mark_answering(message_key(draft.message))
        draft.timings = replace(draft.timings, queued_s=draft.since_arrival_s())

    async def _retrieve(self, draft: AnswerDraft) -> PromptMaterial:
        await draft.ticket.is_head.wait()  # the turn before this one belongs to the question's context
        names = self._readable_names(draft.message)
        turns = await self._past_turns(draft.message, names)
        asked = next((turn.text for turn in reversed(turns) if turn.role == "user"), "")
        earlier = "\n".join([asked, *(each.text for each in draft.message.context[-2:])]).strip()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.search_timeout_s):
                found = await self._library.search(
                    draft.question, names, limit=self._settings.prompt_passages, context=earlier
                )
        except (TimeoutError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("Answering without documents, the search failed: %s", error)
            self._observer.error_reported("search")
            draft.notes.append(localize("search_failed_note", draft.language))
            names, found = frozenset(), SearchResult((), False, 0.0)
        took = time.monotonic() - begun
        self._observer.search_ended(took, len(found.hits))
        draft.timings = replace(draft.timings, retrieval_s=took)
        return PromptMaterial(tuple(turns), found, names)

    def _is_unsupported(self, draft: AnswerDraft, material: PromptMaterial) -> bool:
        return (
            self._settings.when_nothing_found == "refuse"
            and bool(material.readable_names)
            and not (
                material.search_result.supported or material.turns or draft.attached_passages or draft.message.context
            )
        )

    def _nothing_found(self, draft: AnswerDraft, material: PromptMaterial) -> AnswerResult:
        text = localize("nothing_found", draft.language, collections=", ".join(sorted(material.readable_names)))
        timings = replace(draft.timings, total_s=draft.since_arrival_s())
        # Not kept as a turn: small models repeat a refusal that stands in their history.
        closing = FinalAnswer(text, note=" ".join(draft.notes), timings=timings)
        return AnswerResult(closing, "unsupported", frozenset(), keep_turns=False)

    async def _generate(self, draft: AnswerDraft, material: PromptMaterial) -> AnswerResult:
        message, share = draft.message, self._budget(draft.message, draft.language)
        question = with_speaker(message.author.name, draft.question, message.audience.private)
        passages = self._passages(draft, material, share, question)
        turns = await self._trim(message, material.turns, share)
        draft.sources = number_sources(passages, material.search_result)
        draft.collections = frozenset(source.collection for source in draft.sources if source.collection)
        before = quote_context(message.context, self._engine.count_tokens, share.passage_tokens // 2)
        body = prompt_tail(question, passages, before) if passages or before or material.readable_names else question
        history = tuple(to_prompt_turn(turn, message.audience.private) for turn in turns)
        usage = await self._stream(draft, Prompt(self._system_prompt(message, draft.language), history, body))
        return self._build_result(draft, material, usage)

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

    def _build_result(self, draft: AnswerDraft, material: PromptMaterial, usage: Usage | None) -> AnswerResult:
        language = draft.language
        if not draft.text.strip():
            text = localize("empty_answer", language)
            return AnswerResult(
                FinalAnswer(text, timings=_timings(draft, usage)), "failed", frozenset(), keep_turns=False
            )
        if usage is not None and usage.finish == "length":
            draft.notes.append(localize("cut_short", language))
        if material.readable_names and not draft.sources:
            draft.notes.append(
                localize("unsupported_note", language, collections=", ".join(sorted(material.readable_names)))
            )
        sources = cited_sources(draft.text, draft.sources)
        closing = FinalAnswer(draft.text, sources, " ".join(draft.notes), _timings(draft, usage))
        return AnswerResult(closing, "answered", draft.collections, keep_turns=True)

    def _readable_names(self, message: Message) -> frozenset[str]:
        return readable_collections(self._library.readers, message.audience)

    async def _past_turns(self, message: Message, names: frozenset[str]) -> list[PastTurn]:
        turns = await self._history.past_turns(message.conversation)
        kept = [turn for turn in turns if turn.collections <= names]
        if len(kept) < len(turns):
            # The audience has lost a collection: what rests on it must not be read back from the model's state.
            await self._engine.drop_state(message.conversation)
        return kept

    async def _trim(self, message: Message, turns: Sequence[PastTurn], share: PromptBudget) -> Sequence[PastTurn]:
        sizes = [self._engine.count_tokens(turn.text) + TURN_OVERHEAD_TOKENS for turn in turns]
        dropped = count_turns_to_drop(sizes, share.history_tokens)
        if dropped:
            first = turns[dropped].id if dropped < len(turns) else turns[-1].id + 1
            await self._history.drop_turns_before(message.conversation, first)
        return turns[dropped:]

    def _passages(
        self, draft: AnswerDraft, material: PromptMaterial, share: PromptBudget, question: str
    ) -> list[Passage]:
        asked = self._engine.count_tokens(question)
        if asked > share.tail_tokens:
            raise PromptTooLong(asked, share.tail_tokens)
        found = [hit.passage for hit in material.search_result.hits] if material.search_result.supported else []
        said_before = share.passage_tokens // 2 if draft.message.context else 0
        room = min(share.passage_tokens, share.tail_tokens - asked) - said_before
        attached = fit_passages(draft.attached_passages, self._engine.count_tokens, room)
        if len(attached) < len(draft.attached_passages):
            draft.notes.append(localize("attachment_cut", draft.language, limit=max(room, 0)))
        used = sum(self._engine.count_tokens(passage.text) + TURN_OVERHEAD_TOKENS for passage in attached)
        return [*attached, *fit_passages(found, self._engine.count_tokens, room - used)]

    def _budget(self, message: Message, language: Language) -> PromptBudget:
        return split_budget(
            self._engine.context_tokens,
            self._engine.count_tokens(self._system_prompt(message, language)),
            min(self._sampling.max_tokens, self._engine.context_tokens // 3),
            self._settings.history_tokens,
            self._settings.passage_tokens,
        )

    def _system_prompt(self, message: Message, language: Language) -> str:
        return prompts.render_prompt(
            "system",
            name=self._settings.name,
            language=LANGUAGE_NAMES[language],
            documents=prompts.render_prompt("documents") if self._readable_names(message) else "",
            speakers="" if message.audience.private else prompts.render_prompt("speakers"),
            instructions=self._settings.instructions,
        )


def _timings(draft: AnswerDraft, usage: Usage | None) -> Timings:
    return with_usage(replace(draft.timings, total_s=draft.since_arrival_s()), usage)

"""Makes one answer: retrieve, prompt, stream, cite."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from bot.core import prompts
from bot.core.access import readable
from bot.core.costs import with_costs
from bot.core.history import History
from bot.core.journal import key_of
from bot.core.messages import Closing, Message, Source, Timings
from bot.core.observe import Observer, Outcome
from bot.core.ports import Reply
from bot.core.prompt_building import (
    TURN_OVERHEAD_TOKENS,
    Budget,
    PastTurn,
    budget,
    cited,
    drop_halves,
    fitting,
    numbered,
    quoted,
    said,
    spoken,
    tail,
)
from bot.core.queue import FairQueue, Ticket
from bot.core.settings import CoreSettings
from bot.core.texts import NAMES, Language, say
from knowledge.library import Library
from knowledge.passages import Passage, SearchResult
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from models.engine import Engine, Prompt, PromptTooLong, Sampling, Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """A finished answer: what to show, how it ended, what it rests on, and whether it becomes part of the history."""

    closing: Closing
    outcome: Outcome
    collections: frozenset[str]
    keep_turns: bool


@dataclass
class Draft:
    """An answer in the making. Times are monotonic seconds."""

    message: Message
    question: str
    language: Language
    reply: Reply
    ticket: Ticket
    arrived: float
    attached: tuple[Passage, ...] = ()
    notes: list[str] = field(default_factory=list)
    text: str = ""
    timings: Timings = field(default_factory=Timings)
    sources: tuple[Source, ...] = ()
    collections: frozenset[str] = frozenset()

    def since_arrival(self) -> float:
        """Seconds since the message came."""
        return time.monotonic() - self.arrived


@dataclass(frozen=True, slots=True)
class Material:
    """What a prompt is made from: the turns that may be used, and what was found."""

    turns: tuple[PastTurn, ...]
    found: SearchResult
    readable: frozenset[str]


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

    async def answer(self, draft: Draft) -> Answered:
        """Wait for the question's turn and answer it. Raises PromptTooLong, EngineFailed, ReplyFailed, TimeoutError.

        Searches while it waits, so that the engine's place is not held by a search.
        """
        gathering = asyncio.create_task(self._gather(draft))
        try:
            await self._wait(draft)
            await draft.reply.working()
            material = await gathering
        finally:
            gathering.cancel()
        if self._unsupported(draft, material):
            return self._nothing_found(draft, material)
        return await self._generate(draft, material)

    async def prepare(self, message: Message, language: Language) -> None:
        """Let the engine read a conversation's history ahead of the next question."""
        turns = await self._turns(message, self._readable(message))
        kept = await self._trim(message, turns, self._budget(message, language))
        history = tuple(spoken(turn, message.audience.private) for turn in kept)
        await self._engine.warm_up(message.conversation, Prompt(self._system(message, language), history, ""))

    async def _wait(self, draft: Draft) -> None:
        async for place in self._queue.places(draft.ticket, self._settings.notice_after_s):
            wait_s = self._engine.estimate() * place
            key = "queue_place_wait" if wait_s >= 1 else "queue_place"
            sentence = say(key, draft.language, place=place, seconds=round(wait_s))
            await draft.reply.waiting(place, wait_s or None, sentence)
        await self._history.journal.begin(key_of(draft.message))
        draft.timings = replace(draft.timings, queued_s=draft.since_arrival())

    async def _gather(self, draft: Draft) -> Material:
        await draft.ticket.foremost.wait()  # the turn before this one belongs to the question's context
        names = self._readable(draft.message)
        turns = await self._turns(draft.message, names)
        asked = next((turn.text for turn in reversed(turns) if turn.role == "user"), "")
        earlier = "\n".join([asked, *(each.text for each in draft.message.context[-2:])]).strip()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.search_timeout_s):
                found = await self._library.search(
                    draft.question, names, limit=self._settings.passages, context=earlier
                )
        except (TimeoutError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("Answering without documents, the search failed: %s", error)
            self._observer.failed("search")
            draft.notes.append(say("search_failed_note", draft.language))
            names, found = frozenset(), SearchResult((), False, 0.0)
        took = time.monotonic() - begun
        self._observer.retrieved(took, len(found.hits))
        draft.timings = replace(draft.timings, retrieval_s=took)
        return Material(tuple(turns), found, names)

    def _unsupported(self, draft: Draft, material: Material) -> bool:
        return (
            self._settings.when_unsupported == "say_so"
            and bool(material.readable)
            and not (material.found.supported or material.turns or draft.attached or draft.message.context)
        )

    def _nothing_found(self, draft: Draft, material: Material) -> Answered:
        text = say("nothing_found", draft.language, collections=", ".join(sorted(material.readable)))
        timings = replace(draft.timings, total_s=draft.since_arrival())
        # Not kept as a turn: small models repeat a refusal that stands in their history.
        closing = Closing(text, note=" ".join(draft.notes), timings=timings)
        return Answered(closing, "unsupported", frozenset(), keep_turns=False)

    async def _generate(self, draft: Draft, material: Material) -> Answered:
        message, share = draft.message, self._budget(draft.message, draft.language)
        question = said(message.author.name, draft.question, message.audience.private)
        passages = self._passages(draft, material, share, question)
        turns = await self._trim(message, material.turns, share)
        draft.sources = numbered(passages, material.found)
        draft.collections = frozenset(source.collection for source in draft.sources if source.collection)
        before = quoted(message.context, self._engine.count_tokens, share.passages // 2)
        body = tail(question, passages, before) if passages or before or material.readable else question
        history = tuple(spoken(turn, message.audience.private) for turn in turns)
        usage = await self._stream(draft, Prompt(self._system(message, draft.language), history, body))
        return self._close(draft, material, usage)

    async def _stream(self, draft: Draft, prompt: Prompt) -> Usage | None:
        usage: Usage | None = None
        async with aclosing(self._engine.stream(prompt, draft.message.conversation, self._sampling)) as stream:
            while True:
                async with asyncio.timeout(self._settings.token_timeout_s):
                    item = await anext(stream, None)
                if item is None:
                    return usage
                if isinstance(item, Usage):
                    usage = item
                    continue
                if not draft.text:
                    draft.timings = replace(draft.timings, first_token_s=draft.since_arrival())
                draft.text += item
                await draft.reply.append(item)

    def _close(self, draft: Draft, material: Material, usage: Usage | None) -> Answered:
        language = draft.language
        if not draft.text.strip():
            text = say("empty_answer", language)
            return Answered(Closing(text, timings=_timings(draft, usage)), "failed", frozenset(), keep_turns=False)
        if usage is not None and usage.finish == "length":
            draft.notes.append(say("cut_short", language))
        if material.readable and not draft.sources:
            draft.notes.append(say("unsupported_note", language, collections=", ".join(sorted(material.readable))))
        sources = cited(draft.text, draft.sources)
        closing = Closing(draft.text, sources, " ".join(draft.notes), _timings(draft, usage))
        return Answered(closing, "answered", draft.collections, keep_turns=True)

    def _readable(self, message: Message) -> frozenset[str]:
        return readable(self._library.readers, message.audience)

    async def _turns(self, message: Message, names: frozenset[str]) -> list[PastTurn]:
        turns = await self._history.turns(message.conversation)
        kept = [turn for turn in turns if turn.collections <= names]
        if len(kept) < len(turns):
            # The audience has lost a collection: what rests on it must not be read back from the model's state.
            await self._engine.drop_state(message.conversation)
        return kept

    async def _trim(self, message: Message, turns: Sequence[PastTurn], share: Budget) -> Sequence[PastTurn]:
        sizes = [self._engine.count_tokens(turn.text) + TURN_OVERHEAD_TOKENS for turn in turns]
        dropped = drop_halves(sizes, share.history)
        if dropped:
            first = turns[dropped].id if dropped < len(turns) else turns[-1].id + 1
            await self._history.drop_turns_before(message.conversation, first)
        return turns[dropped:]

    def _passages(self, draft: Draft, material: Material, share: Budget, question: str) -> list[Passage]:
        asked = self._engine.count_tokens(question)
        if asked > share.tail:
            raise PromptTooLong(asked, share.tail)
        found = [hit.passage for hit in material.found.hits] if material.found.supported else []
        said_before = share.passages // 2 if draft.message.context else 0
        room = min(share.passages, share.tail - asked) - said_before
        attached = fitting(draft.attached, self._engine.count_tokens, room)
        if len(attached) < len(draft.attached):
            draft.notes.append(say("attachment_cut", draft.language, limit=max(room, 0)))
        used = sum(self._engine.count_tokens(passage.text) + TURN_OVERHEAD_TOKENS for passage in attached)
        return [*attached, *fitting(found, self._engine.count_tokens, room - used)]

    def _budget(self, message: Message, language: Language) -> Budget:
        return budget(
            self._engine.context_tokens,
            self._engine.count_tokens(self._system(message, language)),
            min(self._sampling.max_tokens, self._engine.context_tokens // 3),
            self._settings.history_tokens,
            self._settings.passage_tokens,
        )

    def _system(self, message: Message, language: Language) -> str:
        return prompts.render(
            "system",
            name=self._settings.name,
            language=NAMES[language],
            documents=prompts.render("documents") if self._readable(message) else "",
            speakers="" if message.audience.private else prompts.render("speakers"),
            instructions=self._settings.instructions,
        )


def _timings(draft: Draft, usage: Usage | None) -> Timings:
    return with_costs(replace(draft.timings, total_s=draft.since_arrival()), usage)

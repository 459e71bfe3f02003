"""Answers one question: waits for its turn while it searches, streams the model's answer, and cites its sources."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from bot.core.access import KnownAudiences
from bot.core.history import History
from bot.core.journal import Origin, message_key
from bot.core.messages import ConversationId, FinalAnswer, Message, Source, Timings
from bot.core.observe import Observer, Outcome
from bot.core.ports import Reply
from bot.core.prompt_building import (
    TURN_OVERHEAD_TOKENS,
    PastTurn,
    cited_sources,
    count_turns_to_drop,
    new_messages,
    readable_turns,
    to_prompt_turn,
)
from bot.core.queue import FairQueue, Ticket
from bot.core.retrieval_prompt import PreparedPrompt, PromptRequest, Retrieval, RetrievalPromptBuilder
from bot.core.settings import CoreSettings
from bot.core.texts import Language, localize
from knowledge.library import Library
from knowledge.passages import Passage
from models.engine import Engine, Prompt, Sampling, Turn, Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """A finished answer, its outcome, the origin of its prompt, and whether its turns are kept in the history."""

    final_answer: FinalAnswer
    outcome: Outcome
    origin: Origin
    keep_turns: bool


@dataclass(frozen=True, slots=True)
class Material:
    """The input of an answer. `message` has the current audience and context; `epoch` was read before the turns, so
    that it is never newer than they are.
    """

    message: Message
    request: PromptRequest
    epoch: int
    turns: Sequence[PastTurn]
    retrieval: Retrieval


class MaterialOutdated(Exception):
    """Something in the material was erased, or its audience has changed: the prompt is built again."""


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
    origin: Origin = field(default_factory=Origin)

    def since_arrival_s(self) -> float:
        """Seconds since the message arrived."""
        return time.monotonic() - self.arrived_s


class Answerer:
    """Turns a question into an answer, streaming it into the reply. `audiences` must be told of each message."""

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
        self.audiences = KnownAudiences()
        self._engine = engine
        self._history = history
        self._queue = queue
        self._settings = settings
        self._sampling = sampling
        self._prompt_builder = RetrievalPromptBuilder(engine, library, settings, observer)
        self._hidden_turns: dict[ConversationId, frozenset[int]] = {}
        self._logged_without_access: set[str] = set()

    async def answer_question(self, draft: AnswerDraft) -> AnswerResult:
        """Wait for the question's turn and answer it. Raises PromptTooLong, EngineFailed, ReplyFailed, TimeoutError.

        The search runs during the wait, so that it does not hold the engine. Called again when the result could not be
        stored because it was outdated.
        """
        searching = asyncio.create_task(self._gather_when_first(draft))
        searching.add_done_callback(lambda done: None if done.cancelled() else self._queue.mark_ready(draft.ticket))
        try:
            await self._wait_for_turn(draft)
            await draft.reply.working()
            material = await searching
        finally:
            searching.cancel()
        while True:
            try:
                self._require_current(draft, material)
                await self._start_over(draft)
                if material.retrieval.refusal:
                    return self._refused(draft, material)
                return await self._generate(draft, material)
            except MaterialOutdated:
                material = await self._gather(draft)

    async def warm_up_history(self, message: Message, language: Language) -> None:
        """Let the engine prefill a conversation's history before the next question."""
        epoch = self._history.epochs.current(message.conversation)
        message = replace(message, audience=self.audiences.current(message, None))
        request = self._prompt_request(message, language)
        turns = await self._trim(message, request, await self._past_turns(message))
        prompt = Prompt(self._prompt_builder.system_prompt(request), _to_prompt(turns, message), "")
        # Nothing is awaited in between: whatever is erased later is dropped from the engine later, too.
        if self._history.epochs.current(message.conversation) == epoch:
            await self._engine.warm_up(message.conversation, prompt)

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
        draft.timings = replace(draft.timings, queued_s=draft.timings.queued_s or draft.since_arrival_s())

    async def _gather_when_first(self, draft: AnswerDraft) -> Material:
        await draft.ticket.is_head.wait()  # the previous turn belongs to the question's context
        return await self._gather(draft)

    async def _gather(self, draft: AnswerDraft) -> Material:
        """Read the turns that the question's audience may read now, and search."""
        epoch = self._history.epochs.current(draft.message.conversation)
        message = self._current_message(draft)
        request = self._prompt_request(message, draft.language, draft.question, draft.attached_passages)
        turns = await self._past_turns(message)
        previous = next((turn.text for turn in reversed(turns) if turn.role == "user"), "")
        context = new_messages(request.context, (turn.text for turn in turns))
        earlier = "\n".join([previous, *(each.text for each in context[-2:])]).strip()
        retrieval = await self._prompt_builder.retrieve(request, earlier, has_history=bool(turns))
        draft.timings = replace(draft.timings, retrieval_s=retrieval.took_s)
        if retrieval.lacks_access:
            self._log_without_access(message)
        return Material(message, request, epoch, turns, retrieval)

    def _current_message(self, draft: AnswerDraft) -> Message:
        message = self._history.epochs.without_dropped_context(draft.message)
        return replace(message, audience=self.audiences.current(message, draft.reply))

    def _require_current(self, draft: AnswerDraft, material: Material) -> None:
        """Raise MaterialOutdated unless the material may be given to the engine now."""
        self._require_epoch(draft, material.epoch)
        if self._current_message(draft).audience != material.message.audience:
            raise MaterialOutdated

    def _require_epoch(self, draft: AnswerDraft, epoch: int) -> None:
        if self._history.epochs.current(draft.message.conversation) != epoch:
            raise MaterialOutdated

    @staticmethod
    async def _start_over(draft: AnswerDraft) -> None:
        """Take back the text of an outdated attempt."""
        if draft.text:
            draft.text = ""
            await draft.reply.replace("")

    def _refused(self, draft: AnswerDraft, material: Material) -> AnswerResult:
        timings = replace(draft.timings, total_s=draft.since_arrival_s())
        # Not kept as a turn: small models repeat a refusal that they find in their history.
        refusal = FinalAnswer(material.retrieval.refusal, note=" ".join(draft.notes), timings=timings)
        origin = Origin(private=material.message.audience.private, epoch=material.epoch)
        return AnswerResult(refusal, "unsupported", origin, keep_turns=False)

    def _log_without_access(self, message: Message) -> None:
        """Log once for each person or room: the likeliest cause is a missing or mistyped name in `readers`."""
        names = ", ".join(sorted(message.audience.names)) or "nobody"
        if names not in self._logged_without_access:
            self._logged_without_access.add(names)
            log.warning(
                "Answering %s without documents: no collection has any of these among its readers: %s",
                message.conversation,
                names,
            )

    async def _generate(self, draft: AnswerDraft, material: Material) -> AnswerResult:
        message = material.message
        turns = await self._trim(message, material.request, material.turns)
        prepared = self._prompt_builder.build_prompt(material.request, material.retrieval, _to_prompt(turns, message))
        draft.sources = prepared.sources
        draft.origin = _origin(material, turns, prepared.sources)
        self._require_current(draft, material)
        usage = await self._stream(draft, prepared.prompt)
        return self._build_result(draft, prepared, usage)

    async def _stream(self, draft: AnswerDraft, prompt: Prompt) -> Usage | None:
        """Stream the answer into the reply. Nothing may be awaited between the last check of the prompt and the first
        item: the engine then gets the prompt before any later request to drop its state.
        """
        usage: Usage | None = None
        async with aclosing(self._engine.stream(prompt, draft.message.conversation, self._sampling)) as stream:
            while True:
                async with asyncio.timeout(self._settings.generation_stall_timeout_s):
                    item = await anext(stream, None)
                self._require_epoch(draft, draft.origin.epoch)
                if item is None:
                    return usage
                if isinstance(item, Usage):
                    usage = item
                if not isinstance(item, str):  # thinking is not shown in chats
                    continue
                if not draft.text:
                    draft.timings = replace(draft.timings, first_token_s=draft.since_arrival_s())
                draft.text += item
                await draft.reply.append(item)

    def _build_result(self, draft: AnswerDraft, prepared: PreparedPrompt, usage: Usage | None) -> AnswerResult:
        timings = replace(draft.timings, total_s=draft.since_arrival_s()).with_usage(usage)
        if not draft.text.strip():
            empty = FinalAnswer(localize("empty_answer", draft.language), note=" ".join(draft.notes), timings=timings)
            return AnswerResult(empty, "failed", draft.origin, keep_turns=False)
        is_cut = usage is not None and usage.finish == "length"
        cut_note = localize("cut_short", draft.language) if is_cut else ""
        notes = filter(None, (*draft.notes, *prepared.notes, cut_note, prepared.unsupported_note))
        answer = FinalAnswer(draft.text, cited_sources(draft.text, draft.sources), " ".join(notes), timings)
        return AnswerResult(answer, "answered", draft.origin, keep_turns=True)

    async def _past_turns(self, message: Message) -> list[PastTurn]:
        """The turns that the audience of a message may be answered from."""
        turns = await self._history.past_turns(message.conversation)
        collections = self._prompt_builder.collections_of(message.audience)
        kept = readable_turns(turns, collections, message.audience, message.author.id)
        hidden = frozenset(turn.id for turn in turns) - {turn.id for turn in kept}
        if hidden != self._hidden_turns.get(message.conversation, frozenset()):
            # The audience lost access to a turn, or another one has it: it must not be read back from the KV cache.
            await self._engine.drop_state(message.conversation)
        self._hidden_turns.pop(message.conversation, None)
        if hidden:
            self._hidden_turns[message.conversation] = hidden
        return kept

    async def _trim(self, message: Message, request: PromptRequest, turns: Sequence[PastTurn]) -> Sequence[PastTurn]:
        """The turns that fit the prompt's budget; dropped ones stay out of later prompts too."""
        limit = self._prompt_builder.budget(request).history_tokens
        sizes = [self._engine.count_tokens(turn.text) + TURN_OVERHEAD_TOKENS for turn in turns]
        dropped = count_turns_to_drop(sizes, limit)
        if dropped:
            first = turns[dropped].id if dropped < len(turns) else turns[-1].id + 1
            await self._history.drop_turns_before(message.conversation, first)
        return turns[dropped:]


def _to_prompt(turns: Sequence[PastTurn], message: Message) -> tuple[Turn, ...]:
    return tuple(to_prompt_turn(turn, message.audience.private) for turn in turns)


def _origin(material: Material, turns: Sequence[PastTurn], sources: Sequence[Source]) -> Origin:
    """The origin of a prompt's text: its passages and files, and the origins of its earlier turns."""
    return Origin(
        frozenset(source.collection for source in sources if source.collection).union(
            *(turn.collections for turn in turns)
        ),
        frozenset(each.person for each in material.message.context).union(*(turn.people for turn in turns)),
        material.message.audience.private,
        material.epoch,
    )

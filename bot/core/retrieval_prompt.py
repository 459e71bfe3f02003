"""Retrieval-augmented prompts: search, passage selection, token budget, notes, and refusal when nothing is found."""

import asyncio
import logging
import time
from dataclasses import dataclass

from bot.core import prompts
from bot.core.access import readable_collections
from bot.core.language import DEFAULT_LANGUAGE, detect_language
from bot.core.messages import Audience, ContextMessage, Source
from bot.core.observe import Observer
from bot.core.prompt_building import (
    TURN_OVERHEAD_TOKENS,
    PromptBudget,
    fit_passages,
    number_sources,
    prompt_tail,
    quote_context,
    split_budget,
    with_speaker,
)
from bot.core.settings import CoreSettings
from bot.core.texts import LANGUAGE_NAMES, Language, localize
from knowledge.library import Library
from knowledge.passages import Passage, SearchResult
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from models.engine import Engine, Prompt, PromptTooLong, Turn

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """A question, and what its prompt depends on besides the documents.

    `answer_tokens`: the longest answer. `speaker`: the author's name, empty when only one person writes. `attached`:
    passages of files sent with the question. `context`: messages before the question, oldest first. `instructions` are
    added to those of the settings. `requires_model`: the model must answer, no sentence may replace it.
    """

    question: str
    language: Language
    audience: Audience
    answer_tokens: int
    speaker: str = ""
    attached: tuple[Passage, ...] = ()
    context: tuple[ContextMessage, ...] = ()
    instructions: str = ""
    requires_model: bool = False

    @property
    def spoken_question(self) -> str:
        """The question as the model reads it."""
        return with_speaker(self.speaker, self.question, private=not self.speaker)


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The result of the search for a question.

    `collections` are the names of those searched, none when the search failed. `notes` are sentences to show with the
    answer; `refusal`, unless empty, is the sentence that replaces it. `lacks_access`: there are collections, and the
    audience may read none.
    """

    found: SearchResult
    collections: frozenset[str]
    took_s: float
    notes: tuple[str, ...] = ()
    refusal: str = ""
    lacks_access: bool = False


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """A prompt and its sources, with the sentences to show below the answer.

    `unsupported_note` is empty when a passage supports the answer, or there is no collection to search.
    """

    prompt: Prompt
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    unsupported_note: str = ""


class RetrievalPromptBuilder:
    """Builds the prompts of chats and of API requests: first `retrieve`, then `build_prompt`."""

    def __init__(self, engine: Engine, library: Library, settings: CoreSettings, observer: Observer) -> None:
        self._engine = engine
        self._library = library
        self._settings = settings
        self._observer = observer

    def collections_of(self, audience: Audience) -> frozenset[str]:
        """Names of the collections from which an audience may be answered."""
        return readable_collections(self._library.readers, audience)

    def language_of(self, question: str) -> Language:
        """The language of the answer to a single question: the configured one, or else the question's own."""
        configured = self._settings.language
        return (detect_language(question) or DEFAULT_LANGUAGE) if configured == "auto" else configured

    def system_prompt(self, request: PromptRequest) -> str:
        """The system prompt; the same for all questions of a conversation."""
        return prompts.render_prompt(
            "system",
            name=self._settings.name,
            language=LANGUAGE_NAMES[request.language],
            documents=prompts.render_prompt("documents") if self.collections_of(request.audience) else "",
            speakers="" if request.audience.private else prompts.render_prompt("speakers"),
            instructions="\n\n".join(text for text in (self._settings.instructions, request.instructions) if text),
        )

    def budget(self, request: PromptRequest) -> PromptBudget:
        """The token budget of a request's prompt, for any question."""
        return split_budget(
            self._engine.context_tokens,
            self._engine.count_tokens(self.system_prompt(request)),
            min(request.answer_tokens, self._engine.context_tokens // 3),
            self._settings.history_tokens,
            self._settings.passage_tokens,
        )

    async def retrieve(self, request: PromptRequest, previous_question: str, has_history: bool) -> Retrieval:
        """Search the audience's collections.

        `previous_question` helps with follow-ups; empty for none. A question that continues a history is never refused.
        """
        collections = self.collections_of(request.audience)
        limit, began = self._settings.prompt_passages, time.monotonic()
        notes: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(self._settings.search_timeout_s):
                found = await self._library.search(
                    request.question, collections, limit=limit, context=previous_question
                )
        except (TimeoutError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("Answering without documents, the search failed: %s", error)
            self._observer.error_reported("search")
            notes = (localize("search_failed_note", request.language),)
            collections, found = frozenset(), SearchResult((), False, 0.0)
        took_s = time.monotonic() - began
        self._observer.search_ended(took_s, len(found.hits))
        lacks_access = bool(self._library.readers) and not self.collections_of(request.audience)
        refusal = "" if has_history else self._refusal(request, collections, found, lacks_access)
        return Retrieval(found, collections, took_s, notes, refusal, lacks_access)

    def build_prompt(self, request: PromptRequest, retrieval: Retrieval, history: tuple[Turn, ...]) -> PreparedPrompt:
        """The prompt for a question, after the turns of `history`, which must fit its budget.

        Raises PromptTooLong when the question alone does not fit.
        """
        budget, count = self.budget(request), self._engine.count_tokens
        question = request.spoken_question
        if (size := count(question)) > budget.tail_tokens:
            raise PromptTooLong(size, budget.tail_tokens)
        context_tokens = budget.passage_tokens // 2
        room = min(budget.passage_tokens, budget.tail_tokens - size) - (context_tokens if request.context else 0)
        passages, notes = self._choose_passages(request, retrieval.found, room)
        sources = number_sources(passages, retrieval.found)
        before = quote_context(request.context, count, context_tokens)
        if passages or before or retrieval.collections:
            question = prompt_tail(question, passages, before)
        return PreparedPrompt(
            Prompt(self.system_prompt(request), history, question),
            sources,
            retrieval.notes + notes,
            "" if sources else _unsupported_note(request, retrieval),
        )

    def _refusal(
        self, request: PromptRequest, collections: frozenset[str], found: SearchResult, lacks_access: bool
    ) -> str:
        has_material = found.supported or request.attached or request.context
        if self._settings.when_nothing_found != "refuse" or request.requires_model or has_material:
            return ""
        if lacks_access:
            return localize("no_access", request.language)
        return _name_collections("nothing_found", request, collections) if collections else ""

    def _choose_passages(
        self, request: PromptRequest, found: SearchResult, room: int
    ) -> tuple[list[Passage], tuple[str, ...]]:
        """The passages that fit into `room` tokens, attached files first; and a note when not all of those fit."""
        count = self._engine.count_tokens
        attached = fit_passages(request.attached, count, room)
        used = sum(count(passage.text) + TURN_OVERHEAD_TOKENS for passage in attached)
        hits = [hit.passage for hit in found.hits] if found.supported else []
        is_cut = len(attached) < len(request.attached)
        notes = (localize("attachment_cut", request.language, limit=max(room, 0)),) if is_cut else ()
        return [*attached, *fit_passages(hits, count, room - used)], notes


def _unsupported_note(request: PromptRequest, retrieval: Retrieval) -> str:
    if retrieval.lacks_access:
        return localize("no_access_note", request.language)
    if not retrieval.collections:
        return ""
    return _name_collections("unsupported_note", request, retrieval.collections)


def _name_collections(text_key: str, request: PromptRequest, collections: frozenset[str]) -> str:
    return localize(text_key, request.language, collections=", ".join(sorted(collections)))

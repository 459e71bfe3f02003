"""Makes the prompt for a question of another program that is to be answered from the documents."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bot.core import prompts
from bot.core.access import readable_collections
from bot.core.language import DEFAULT_LANGUAGE, detect_language
from bot.core.messages import Audience, Source
from bot.core.observe import Observer
from bot.core.prompt_building import (
    TURN_OVERHEAD_TOKENS,
    count_turns_to_drop,
    fit_passages,
    number_sources,
    prompt_tail,
    split_budget,
)
from bot.core.settings import CoreSettings
from bot.core.texts import LANGUAGE_NAMES, LANGUAGES, Language, localize
from knowledge.library import Library
from knowledge.passages import Passage, SearchResult
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from models.engine import Engine, Prompt, PromptTooLong, Turn

log = logging.getLogger(__name__)

MAX_CHARACTERS_PER_TOKEN = 16
"""More than any text has that means something: English has 4 to 5, indented code up to 8."""

MAX_CONTEXT_CHARACTERS = 4000
"""Of the question before this one; what is longer was pasted, and searching for 1.7 MB of it takes half a second."""


@dataclass(frozen=True, slots=True)
class ApiQuestion:
    """A question with the turns before it, what the program wants the model to be told, and who reads the answer.

    `requires_model`: no sentence may stand in for the model's answer.
    """

    question: str
    history: tuple[Turn, ...]
    instructions: str
    audience: Audience
    answer_tokens: int
    requires_model: bool = False


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """The prompt, what it holds of the documents, and a sentence below the answer; without a prompt the sentence is
    the answer. `truncation_note` is what to say below an answer that was too long.
    """

    prompt: Prompt | None
    sources: tuple[Source, ...] = ()
    note: str = ""
    truncation_note: str = ""


class RetrievalPromptBuilder:
    """Searches and shapes, as for people, but from nothing that is remembered."""

    def __init__(self, engine: Engine, library: Library, settings: CoreSettings, observer: Observer) -> None:
        self._engine = engine
        self._library = library
        self._settings = settings
        self._observer = observer

    async def build_prompt(self, inquiry: ApiQuestion) -> PreparedPrompt:
        """The prompt for an inquiry. Raises PromptTooLong for a question that cannot fit."""
        language = self._language(inquiry)
        names = readable_collections(self._library.readers, inquiry.audience)
        where = ", ".join(sorted(names))
        inquiry = replace(inquiry, history=clean_history(inquiry.history, where))
        found, note = await self._search(inquiry, names, language)
        unsupported = names and not (found.supported or note)
        refuses = self._settings.when_nothing_found == "refuse" and not (inquiry.history or inquiry.requires_model)
        if unsupported and refuses:
            return PreparedPrompt(None, note=localize("nothing_found", language, collections=where))
        if unsupported:
            note = localize("unsupported_note", language, collections=where)
        shaped = self._shape(inquiry, found, self._system(inquiry, language, bool(names)), bool(names))
        return replace(shaped, note=note, truncation_note=localize("cut_short", language))

    def _shape(self, inquiry: ApiQuestion, found: SearchResult, system: str, documents: bool) -> PreparedPrompt:
        count, question = self._engine.count_tokens, inquiry.question
        context = self._engine.context_tokens
        share = split_budget(
            context,
            count(system),
            min(inquiry.answer_tokens, context // 3),
            self._settings.history_tokens,
            self._settings.passage_tokens,
        )
        if (asked := count(question)) > share.tail_tokens:
            raise PromptTooLong(asked, share.tail_tokens)
        hits: list[Passage] = [hit.passage for hit in found.hits] if found.supported else []
        passages = fit_passages(hits, count, min(share.passage_tokens, share.tail_tokens - asked))
        # Counting what is far too long takes seconds, in which nothing else would run.
        recent = newest_turns(inquiry.history, min_tokens, share.history_tokens)
        kept = newest_turns(recent, lambda turn: count(turn.text) + TURN_OVERHEAD_TOKENS, share.history_tokens)
        body = prompt_tail(question, passages) if documents else question
        return PreparedPrompt(Prompt(system, kept, body), number_sources(passages, found))

    async def _search(
        self, inquiry: ApiQuestion, names: frozenset[str], language: Language
    ) -> tuple[SearchResult, str]:
        asked = next((turn.text for turn in reversed(inquiry.history) if turn.role == "user"), "")
        earlier = asked[:MAX_CONTEXT_CHARACTERS]
        limit = self._settings.prompt_passages
        try:
            async with asyncio.timeout(self._settings.search_timeout_s):
                found = await self._library.search(inquiry.question, names, limit=limit, context=earlier)
        except (TimeoutError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("Answering without documents, the search failed: %s", error)
            self._observer.error_reported("search")
            return SearchResult((), False, 0.0), localize("search_failed_note", language)
        self._observer.search_ended(found.took_s, len(found.hits))
        return found, ""

    def _language(self, inquiry: ApiQuestion) -> Language:
        configured = self._settings.language
        if configured != "auto":
            return configured
        return detect_language(inquiry.question) or DEFAULT_LANGUAGE

    def _system(self, inquiry: ApiQuestion, language: Language, documents: bool) -> str:
        return prompts.render_prompt(
            "system",
            name=self._settings.name,
            language=LANGUAGE_NAMES[language],
            documents=prompts.render_prompt("documents") if documents else "",
            speakers="",
            instructions="\n\n".join(text for text in (self._settings.instructions, inquiry.instructions) if text),
        )


def min_tokens(turn: Turn) -> int:
    """Tokens that a turn takes at least in a prompt, without counting them."""
    return 1 + len(turn.text) // MAX_CHARACTERS_PER_TOKEN


def newest_turns(history: Sequence[Turn], size: Callable[[Turn], int], limit: int) -> tuple[Turn, ...]:
    """What is left of a history that was cut by halves whenever it had grown over `limit` tokens.

    So the cut stays for many turns, and with it the prompt's prefix, although the program sends the whole history.
    """
    sizes = [size(turn) for turn in history]
    begin = total = 0
    for end in range(2, len(sizes) + 2, 2):
        total += sum(sizes[end - 2 : end])
        if total > limit:
            dropped = count_turns_to_drop(sizes[begin:end], limit)
            total -= sum(sizes[begin : begin + dropped])
            begin += dropped
    return tuple(history[begin:])


def clean_history(history: Iterable[Turn], where: str) -> tuple[Turn, ...]:
    """A history as Hearth keeps its own: without what stood below the answers, and without questions on which nothing
    was found. Small models repeat both.
    """
    found_nothing = _localized_in_all("nothing_found", where)
    notes = [
        *_localized_in_all("cut_short", where),
        *_localized_in_all("unsupported_note", where),
        *_localized_in_all("search_failed_note", where),
    ]
    kept: list[Turn] = []
    for turn in history:
        text = turn.text.rstrip()
        if turn.role != "assistant":
            kept.append(turn)
        elif text not in found_nothing:
            for note in notes:
                text = text.removesuffix(f"\n\n{note}")
            kept.append(Turn(turn.role, text))
        elif kept and kept[-1].role == "user":
            kept.pop()
    return tuple(kept)


def _localized_in_all(text: str, where: str) -> list[str]:
    return [localize(text, language, collections=where) for language in LANGUAGES]

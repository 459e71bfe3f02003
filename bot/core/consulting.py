"""Makes the prompt for a question of another program that is to be answered from the documents."""

import asyncio
import logging
from dataclasses import dataclass

from bot.core import prompts
from bot.core.access import readable
from bot.core.conversation import (
    TURN_OVERHEAD_TOKENS,
    budget,
    drop_halves,
    fitting,
    numbered,
    tail,
)
from bot.core.events import Audience, Source
from bot.core.language import DEFAULT, language_of
from bot.core.observe import Observer
from bot.core.settings import CoreSettings
from bot.core.texts import NAMES, Language, say
from knowledge.library import Library
from knowledge.passages import Passage, SearchResult
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from models.engine import Engine, Prompt, PromptTooLong, Turn

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question with the turns before it, what the program wants the model to be told, and who reads the answer."""

    question: str
    history: tuple[Turn, ...]
    instructions: str
    audience: Audience
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Consulted:
    """The prompt, what it holds of the documents, and a sentence below the answer; without a prompt the sentence is
    the answer.
    """

    prompt: Prompt | None
    sources: tuple[Source, ...] = ()
    note: str = ""


class Consultant:
    """Searches and shapes, as for people, but from nothing that is remembered."""

    def __init__(self, engine: Engine, library: Library, settings: CoreSettings, observer: Observer) -> None:
        self._engine = engine
        self._library = library
        self._settings = settings
        self._observer = observer

    async def consult(self, inquiry: Inquiry) -> Consulted:
        """The prompt for an inquiry. Raises PromptTooLong for a question that cannot fit."""
        language = self._language(inquiry)
        names = readable(self._library.readers, inquiry.audience)
        found, note = await self._search(inquiry, names, language)
        where = ", ".join(sorted(names))
        unsupported = names and not (found.supported or note)
        if unsupported and not inquiry.history and self._settings.when_unsupported == "say_so":
            return Consulted(None, note=say("nothing_found", language, collections=where))
        if unsupported:
            note = say("unsupported_note", language, collections=where)
        return self._shape(inquiry, found, note, self._system(inquiry, language, bool(names)))

    def _shape(self, inquiry: Inquiry, found: SearchResult, note: str, system: str) -> Consulted:
        count, question = self._engine.count, inquiry.question
        context = self._engine.context_tokens
        share = budget(
            context,
            count(system),
            min(inquiry.answer_tokens, context // 3),
            self._settings.history_tokens,
            self._settings.passage_tokens,
        )
        if (asked := count(question)) > share.tail:
            raise PromptTooLong(asked, share.tail)
        hits: list[Passage] = [hit.passage for hit in found.hits] if found.supported else []
        passages = fitting(hits, count, min(share.passages, share.tail - asked))
        sizes = [count(turn.text) + TURN_OVERHEAD_TOKENS for turn in inquiry.history]
        kept = inquiry.history[drop_halves(sizes, share.history) :]
        return Consulted(Prompt(system, kept, tail(question, passages)), numbered(passages, found), note)

    async def _search(self, inquiry: Inquiry, names: frozenset[str], language: Language) -> tuple[SearchResult, str]:
        earlier = next((turn.text for turn in reversed(inquiry.history) if turn.role == "user"), "")
        limit = self._settings.passages
        try:
            async with asyncio.timeout(self._settings.search_timeout_s):
                found = await self._library.search(inquiry.question, names, limit=limit, context=earlier)
        except (TimeoutError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("Answering without documents, the search failed: %s", error)
            self._observer.failed("search")
            return SearchResult((), False, 0.0), say("search_failed_note", language)
        self._observer.retrieved(found.took_s, len(found.hits))
        return found, ""

    def _language(self, inquiry: Inquiry) -> Language:
        configured = self._settings.language
        if configured != "auto":
            return configured
        return language_of(inquiry.question) or DEFAULT

    def _system(self, inquiry: Inquiry, language: Language, documents: bool) -> str:
        return prompts.render(
            "system",
            name=self._settings.name,
            language=NAMES[language],
            documents=prompts.render("documents") if documents else "",
            speakers="",
            instructions="\n\n".join(text for text in (self._settings.instructions, inquiry.instructions) if text),
        )

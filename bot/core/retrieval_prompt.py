"""Makes the prompt for a question of another program that is to be answered from the documents."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bot.core import prompts
from bot.core.access import readable
from bot.core.language import DEFAULT, language_of
from bot.core.messages import Audience, Source
from bot.core.observe import Observer
from bot.core.prompt_building import TURN_OVERHEAD_TOKENS, budget, drop_halves, fitting, numbered, tail
from bot.core.settings import CoreSettings
from bot.core.texts import LANGUAGES, NAMES, Language, say
from knowledge.library import Library
from knowledge.passages import Passage, SearchResult
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from models.engine import Engine, Prompt, PromptTooLong, Turn

log = logging.getLogger(__name__)

MOST_CHARACTERS_PER_TOKEN = 16
"""More than any text has that means something: English has 4 to 5, indented code up to 8."""

MOST_CONTEXT_CHARACTERS = 4000
"""Of the question before this one; what is longer was pasted, and searching for 1.7 MB of it takes half a second."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question with the turns before it, what the program wants the model to be told, and who reads the answer.

    `must_ask`: no sentence may stand in for the model's answer.
    """

    question: str
    history: tuple[Turn, ...]
    instructions: str
    audience: Audience
    answer_tokens: int
    must_ask: bool = False


@dataclass(frozen=True, slots=True)
class Consulted:
    """The prompt, what it holds of the documents, and a sentence below the answer; without a prompt the sentence is
    the answer. `if_cut` is what to say below an answer that was too long.
    """

    prompt: Prompt | None
    sources: tuple[Source, ...] = ()
    note: str = ""
    if_cut: str = ""


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
        where = ", ".join(sorted(names))
        inquiry = replace(inquiry, history=remembered(inquiry.history, where))
        found, note = await self._search(inquiry, names, language)
        unsupported = names and not (found.supported or note)
        say_so = self._settings.when_unsupported == "say_so" and not (inquiry.history or inquiry.must_ask)
        if unsupported and say_so:
            return Consulted(None, note=say("nothing_found", language, collections=where))
        if unsupported:
            note = say("unsupported_note", language, collections=where)
        shaped = self._shape(inquiry, found, self._system(inquiry, language, bool(names)), bool(names))
        return replace(shaped, note=note, if_cut=say("cut_short", language))

    def _shape(self, inquiry: Inquiry, found: SearchResult, system: str, documents: bool) -> Consulted:
        count, question = self._engine.count_tokens, inquiry.question
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
        # Counting what is far too long takes seconds, in which nothing else would run.
        recent = newest(inquiry.history, least_tokens, share.history)
        kept = newest(recent, lambda turn: count(turn.text) + TURN_OVERHEAD_TOKENS, share.history)
        body = tail(question, passages) if documents else question
        return Consulted(Prompt(system, kept, body), numbered(passages, found))

    async def _search(self, inquiry: Inquiry, names: frozenset[str], language: Language) -> tuple[SearchResult, str]:
        asked = next((turn.text for turn in reversed(inquiry.history) if turn.role == "user"), "")
        earlier = asked[:MOST_CONTEXT_CHARACTERS]
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


def least_tokens(turn: Turn) -> int:
    """Tokens that a turn takes at least in a prompt, without counting them."""
    return 1 + len(turn.text) // MOST_CHARACTERS_PER_TOKEN


def newest(history: Sequence[Turn], size: Callable[[Turn], int], limit: int) -> tuple[Turn, ...]:
    """What is left of a history that was cut by halves whenever it had grown over `limit` tokens.

    So the cut stays for many turns, and with it the prompt's prefix, although the program sends the whole history.
    """
    sizes = [size(turn) for turn in history]
    begin = total = 0
    for end in range(2, len(sizes) + 2, 2):
        total += sum(sizes[end - 2 : end])
        if total > limit:
            dropped = drop_halves(sizes[begin:end], limit)
            total -= sum(sizes[begin : begin + dropped])
            begin += dropped
    return tuple(history[begin:])


def remembered(history: Iterable[Turn], where: str) -> tuple[Turn, ...]:
    """A history as Hearth keeps its own: without what stood below the answers, and without questions on which nothing
    was found. Small models repeat both.
    """
    found_nothing = _said("nothing_found", where)
    notes = [*_said("cut_short", where), *_said("unsupported_note", where), *_said("search_failed_note", where)]
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


def _said(text: str, where: str) -> list[str]:
    return [say(text, language, collections=where) for language in LANGUAGES]

"""Prompt building: token budget, choice of turns and passages, and the prompt's text. Pure."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from bot.core import prompts
from bot.core.messages import Audience, ContextMessage, Source
from knowledge.passages import Passage, PassageLocation, SearchResult
from models.engine import Role, Turn

TURN_OVERHEAD_TOKENS = 10
"""Tokens that a chat template adds to a turn; measured at 4 to 8 for ChatML, Llama and Gemma templates."""

TokenCounter = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A turn of the history. `id` grows with time; questions carry their speaker, answers have none.

    `collections` and `people`: what everything in the prompt of its answer came from, earlier turns included.
    `private_to`: the id of the only person who has read it; empty for a turn of a room.
    """

    id: int
    role: Role
    speaker: str
    text: str
    collections: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    private_to: str = ""


@dataclass(frozen=True, slots=True)
class PromptBudget:
    """Token limits of one prompt: of the history, of the passages, and of the tail (question and passages)."""

    history_tokens: int
    passage_tokens: int
    tail_tokens: int


def split_budget(context: int, system: int, answer: int, history: int, passages: int) -> PromptBudget:
    """Divide the tokens of a context that the system prompt and the answer leave free.

    History gets at most half of them, so that its size, and with it the prompt's stable prefix, does not
    depend on the question at hand.
    """
    free = max(0, context - system - answer - 2 * TURN_OVERHEAD_TOKENS)
    kept = min(history, free // 2)
    return PromptBudget(history_tokens=kept, passage_tokens=min(passages, free - kept), tail_tokens=free - kept)


def count_turns_to_drop(sizes: Sequence[int], limit: int) -> int:
    """How many turns to drop from the front, by halves, until the rest is at most `limit` tokens.

    Halves, not single turns: the prompt's prefix then stays the same for many turns before it changes again.
    Turns come in pairs of question and answer, and pairs stay together.
    """
    dropped = 0
    while sum(sizes[dropped:]) > limit:
        left = len(sizes) - dropped
        dropped += min(left, max(2, (left // 2 + 1) // 2 * 2))
    return dropped


def readable_turns(
    turns: Iterable[PastTurn], collections: Collection[str], audience: Audience, reader: str
) -> list[PastTurn]:
    """The turns that an audience may be answered from. `reader` is the person who asks."""
    alone = {"", reader} if audience.private else {""}
    return [turn for turn in turns if turn.collections <= set(collections) and turn.private_to in alone]


def to_prompt_turn(turn: PastTurn, private: bool) -> Turn:
    """A past turn as the model reads it: questions with the speaker's name where several people write."""
    return Turn(turn.role, with_speaker(turn.speaker, turn.text, private) if turn.role == "user" else turn.text)


def with_speaker(speaker: str, text: str, private: bool) -> str:
    """A question with its speaker's name before it, or alone where only one person writes."""
    name = " ".join(speaker.split())[:80]
    return text if private or not name else f"{name}: {text}"


def fit_passages(passages: Iterable[Passage], count: TokenCounter, limit: int) -> list[Passage]:
    """The passages that fit into `limit` tokens, best first; one that is too long is skipped, a later one may fit."""
    kept: list[Passage] = []
    left = limit
    for passage in passages:
        needed = count(prompts.render_prompt("passage", number="0", place=passage_heading(passage), text=passage.text))
        if needed <= left:
            left -= needed
            kept.append(passage)
    return kept


def passage_heading(passage: Passage | Source) -> str:
    """A passage's location for the model: its document and headings."""
    return " › ".join((passage.document, *passage.place.heading))


def prompt_tail(question: str, passages: Sequence[Passage], before: str = "") -> str:
    """The part of the prompt that changes each turn: numbered passages, quoted messages, then the question.

    The best passage, number 1, comes last: models attend most to the text next to the question, small ones especially
    (SmolLM2-135M named the right shelf in this order only).
    """
    numbered = [
        prompts.render_prompt("passage", number=str(number), place=passage_heading(passage), text=passage.text)
        for number, passage in enumerate(passages, 1)
    ]
    material = list(reversed(numbered))
    if before:
        material.append(prompts.render_prompt("before", before=before))
    if not material:
        return prompts.render_prompt("question_unsupported", question=question)
    return prompts.render_prompt("question", passages="\n\n".join(material), question=question)


def number_sources(passages: Sequence[Passage], found: SearchResult) -> tuple[Source, ...]:
    """The passages of a prompt as sources, with the same numbers; attached files score 1."""
    scores = {hit.passage.id: hit.score for hit in found.hits}
    return tuple(
        Source(
            number,
            passage.collection,
            passage.document,
            passage.title,
            passage.place,
            passage.text,
            scores.get(passage.id, 1.0),
        )
        for number, passage in enumerate(passages, 1)
    )


def quote_context(context: Sequence[ContextMessage], count: TokenCounter, limit: int) -> str:
    """The newest messages before a question that fit into `limit` tokens, one line each, oldest first."""
    lines: list[str] = []
    left = limit
    for line in (with_speaker(each.speaker, " ".join(each.text.split()), private=False) for each in reversed(context)):
        if (needed := count(line) + 1) > left:
            break
        left -= needed
        lines.append(line)
    return "\n".join(reversed(lines))


def cited_sources(text: str, sources: Sequence[Source]) -> tuple[Source, ...]:
    """The sources that the answer names as [n]; all of them when it names none that exists."""
    named = {int(number) for number in re.findall(r"\[(\d{1,3})\]", text)}
    return tuple(source for source in sources if source.number in named) or tuple(sources)


def location_text(place: PassageLocation) -> str:
    """A passage's location without words that need translation: headings, page, row."""
    parts = list(place.heading)
    if place.page is not None:
        parts.append(f"p. {place.page}")
    if place.row is not None:
        parts.append(f"#{place.row}")
    return " › ".join(parts)

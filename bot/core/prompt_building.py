"""Prompt building: token budget, choice of turns and passages, and the prompt's text. Pure."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from bot.core import prompts
from bot.core.foreign_text import clean_line, quote_lines, spoken_text
from bot.core.messages import Audience, ContextMessage, Source
from knowledge.passages import Passage, PassageLocation, SearchResult
from models.engine import Role, Turn

TURN_OVERHEAD_TOKENS = 10
"""Tokens that a chat template adds to a turn; measured at 4 to 8 for ChatML, Llama and Gemma templates."""

MAX_PASSAGES = 256
"""Of a prompt; thousands of one-line rows fit into a large context, and counting them stops everything else."""

MAX_MISSES = 8
"""Passages in a row that did not fit, after which no further one is tried."""

MAX_CONTEXT_CHARACTERS = 2000
"""Of an earlier message; the rest of a longer one is cut."""

MIN_RELEVANCE = 0.4
"""Score, as a share of the best one's, below which a passage found is not given: what is only the least unlike the
question would be named as a source. With the demo's 64 questions no right document is lost at 0.4, and one at 0.5.
"""

_MIN_REPEATED_CHARACTERS = 24
_CHARACTERS_PER_TOKEN = 16  # at most: a text of more has more tokens than fit, and is not worth counting

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
    readable = frozenset(collections)
    return [turn for turn in turns if turn.collections <= readable and turn.private_to in alone]


def to_prompt_turn(turn: PastTurn, private: bool) -> Turn:
    """A past turn as the model reads it: questions with the speaker's name where several people write."""
    return Turn(turn.role, with_speaker(turn.speaker, turn.text, private) if turn.role == "user" else turn.text)


def with_speaker(speaker: str, text: str, private: bool) -> str:
    """A question with its speaker's name before it, or alone where only one person writes."""
    return spoken_text("" if private else speaker, text)


def relevant_passages(found: SearchResult) -> list[Passage]:
    """The passages of a search that bear on its question, best first; none when the best does not support an answer.

    Passages far below the best score are left out, but for those that a reranker put above one that is not.
    """
    if not found.supported:
        return []
    enough = MIN_RELEVANCE * max(hit.score for hit in found.hits)
    last = max(number for number, hit in enumerate(found.hits, start=1) if hit.score >= enough)
    return [hit.passage for hit in found.hits[:last]]


def fit_passages(passages: Iterable[Passage], count: TokenCounter, limit: int) -> tuple[list[Passage], int]:
    """The passages that fit into `limit` tokens, best first, and the tokens they take.

    One that is too long is skipped, a later one may fit. Stops when the room is full: counting takes time.
    """
    kept: list[Passage] = []
    left, misses = limit, 0
    for passage in passages:
        if left <= 0 or misses == MAX_MISSES or len(kept) == MAX_PASSAGES:
            break
        too_long = len(passage.text) > left * _CHARACTERS_PER_TOKEN
        needed = left + 1 if too_long else count(render_passage(0, passage)) + 1
        if needed > left:
            misses += 1
            continue
        misses = 0
        left -= needed
        kept.append(passage)
    return kept, limit - left


def render_passage(number: int, passage: Passage) -> str:
    """A passage as the model reads it: its number, its place in one line, and its text, each line marked as quoted."""
    return prompts.render_prompt(
        "passage", number=str(number), place=passage_heading(passage), text=quote_lines(passage.text)
    )


def passage_heading(passage: Passage | Source) -> str:
    """A passage's location for the model, in one line: its document and headings."""
    return " › ".join(filter(None, map(clean_line, (passage.document, *passage.place.heading))))


def prompt_tail(question: str, passages: Sequence[Passage], before: str = "") -> str:
    """The part of the prompt that changes each turn: numbered passages, quoted messages, then the question.

    The best passage, number 1, comes last: models attend most to the text next to the question, small ones especially
    (SmolLM2-135M named the right shelf in this order only).
    """
    material = [render_passage(number, passage) for number, passage in enumerate(passages, 1)][::-1]
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


def new_messages(context: Sequence[ContextMessage], turns: Iterable[str]) -> tuple[ContextMessage, ...]:
    """The earlier messages that no turn of the history holds; platforms hand over both when a reply continues a chat.

    A message repeats a turn when it has the same words, or when one of them contains the other, which is long enough
    not to do so by chance: long answers are posted in parts, and sources stand below them.
    """
    if not context:
        return ()
    known = [words for turn in turns if (words := _words(turn))]
    return tuple(
        message
        for message in context
        if not any(
            _repeats(words, turn)
            for turn in known
            for words in (_words(message.text), _words(f"{message.speaker} {message.text}"))
        )
    )


def quote_context(context: Sequence[ContextMessage], count: TokenCounter, limit: int) -> str:
    """The newest messages before a question that fit into `limit` tokens, one marked line each, oldest first."""
    lines: list[str] = []
    left = limit
    for message in reversed(context):
        line = quote_lines(with_speaker(message.speaker, _shortened(clean_line(message.text)), private=False))
        if (needed := count(line) + 1) > left:
            break
        left -= needed
        lines.append(line)
    return "\n".join(reversed(lines))


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CONTEXT_CHARACTERS else text[: MAX_CONTEXT_CHARACTERS - 2] + " …"


def _words(text: str) -> str:
    """The words of a text, whatever its markup and line breaks."""
    return " ".join(re.findall(r"\w+", clean_line(text).casefold()))


def _repeats(message: str, turn: str) -> bool:
    shorter, longer = sorted((message, turn), key=len)
    return message == turn or (len(shorter) >= _MIN_REPEATED_CHARACTERS and f" {shorter} " in f" {longer} ")


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

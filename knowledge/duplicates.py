"""Near-duplicates among passages: copies of a text give way to passages that say something else."""

from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.lexical import split_words
from knowledge.passages import Passage

_SHARED_WORDS = 0.9
"""Share of common words, of all words of both, from which on two long passages say the same."""
_LONG_TEXT = 30
"""Words of a text in which a few other words may be another edition; in a shorter one they are the difference."""


@dataclass(frozen=True, slots=True)
class _Text:
    words: tuple[str, ...]
    distinct: frozenset[str]


def distinct_first(passages: Sequence[Passage], limit: int) -> list[Passage]:
    """The first `limit` passages in their order, those that repeat an earlier one after all others.

    One repeats another when it has the same words, or is long and has nearly the same ones and the same numbers: rows
    and notes that differ in a number or a name are different. Of copies with one title only the first is kept.
    """
    kept: list[tuple[Passage, _Text]] = []
    copies: list[Passage] = []
    for passage in passages:
        if len(kept) == limit:
            break
        words = tuple(split_words(passage.text))
        text = _Text(words, frozenset(words))
        same = next((other for other, known in kept if _repeats(text, known)), None)
        if same is None:
            kept.append((passage, text))
        elif same.title != passage.title or same.collection != passage.collection:
            copies.append(passage)
    return [*(passage for passage, _ in kept), *copies][:limit]


def _repeats(text: _Text, known: _Text) -> bool:
    if text.words == known.words:
        return True
    few, many = sorted((len(text.distinct), len(known.distinct)))
    if few < _SHARED_WORDS * many or min(len(text.words), len(known.words)) < _LONG_TEXT:
        return False
    differing = text.distinct ^ known.distinct
    shared = (few + many - len(differing)) // 2
    return shared >= _SHARED_WORDS * (shared + len(differing)) and not any(word.isdecimal() for word in differing)

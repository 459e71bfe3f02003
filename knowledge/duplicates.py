"""Near-duplicates among passages: copies of a text give way to passages that say something else."""

from collections.abc import Sequence

from knowledge.lexical import split_words
from knowledge.passages import Passage

_SHARED_WORDS = 0.9
"""Share of common words, of all words of both, from which on two long passages say the same."""
_LONG_TEXT = 30
"""Words of a text in which a few other words may be another edition; in a shorter one they are the difference."""


def distinct_first(passages: Sequence[Passage]) -> list[Passage]:
    """The passages in their order, but those that repeat an earlier one last.

    One repeats another when it has the same words, or is long and has nearly the same ones and the same numbers: rows
    and notes that differ in a number or a name are different. Of copies with one title only the first is kept.
    """
    kept: list[tuple[Passage, list[str]]] = []
    copies: list[Passage] = []
    for passage in passages:
        words = split_words(passage.text)
        same = next((other for other, known in kept if _repeats(words, known)), None)
        if same is None:
            kept.append((passage, words))
        elif same.title != passage.title or same.collection != passage.collection:
            copies.append(passage)
    return [passage for passage, _ in kept] + copies


def _repeats(words: Sequence[str], known: Sequence[str]) -> bool:
    if known == words:
        return True
    if min(len(known), len(words)) < _LONG_TEXT:
        return False
    one, other = set(known), set(words)
    differing = one ^ other
    return len(one & other) >= _SHARED_WORDS * len(one | other) and not any(word.isdecimal() for word in differing)

"""Finds and breaks up the texts that llama.cpp parses as control tokens, wherever they stand in foreign text."""

import re
from collections.abc import Iterable, Iterator, Sequence

_PREFIX_CHARACTERS = 3
# Breaking one text up may make another of it, as a vocabulary with texts that hold spaces could have it. What is left
# after some rounds is shortened instead, which ends.
_MAX_SPACED_ROUNDS = 4


class ControlTextFinder:
    """Finds control texts in a time that depends on the length of a text alone, not on the thousands of such tokens
    that some vocabularies have.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = frozenset(filter(None, texts))
        lengths: dict[str, set[int]] = {}
        for text in self._texts:
            lengths.setdefault(text[:_PREFIX_CHARACTERS], set()).add(len(text))
        self._lengths = {prefix: sorted(found, reverse=True) for prefix, found in lengths.items()}
        self._sizes = sorted({len(prefix) for prefix in lengths}, reverse=True)
        firsts = "".join(map(re.escape, sorted({text[0] for text in self._texts})))
        self._first = re.compile(f"[{firsts}]" if firsts else r"(?!)")

    def find_all(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of the longest control text at each place where one begins; they may overlap."""
        for found in self._first.finditer(text):
            start = found.start()
            for size in self._sizes:
                lengths = self._lengths.get(text[start : start + size])
                if lengths and (end := self._end(text, start, lengths)):
                    yield start, end
                    break

    def _end(self, text: str, start: int, lengths: Sequence[int]) -> int:
        """The end of the longest control text that begins at `start`; 0 if none does."""
        return next((start + length for length in lengths if text[start : start + length] in self._texts), 0)

    def break_up(self, text: str) -> str:
        """The text with a space after the first character of each control text; those of one character are left out."""
        rounds = 0
        while spans := list(self.find_all(text)):
            pieces, done = [], 0
            for start, end in spans:
                is_spaced = end > start + 1 and rounds < _MAX_SPACED_ROUNDS
                pieces += [text[done:start], f"{text[start]} " if is_spaced else ""]
                done = start + 1
            text = "".join(pieces) + text[done:]
            rounds += 1
        return text

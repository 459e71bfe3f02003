"""Guessing what an answer says next when it quotes its passages or itself: what followed the same words there."""

from collections.abc import Sequence
from itertools import takewhile

# So many equal tokens before a place make it likely that the next ones are equal too.
_MATCHED_TOKENS = 3
# Stands between the passages and the answer: what one ends with is not continued by the other.
_BORDER = -1
# Guesses counted at the start of each answer, as if they had been made: hopeful enough for a try with a single guess,
# because three equal words are often chance. What is older counts less.
_RIGHT_AT_FIRST, _WRONG_AT_FIRST = 2.0, 1.0
_KEPT = 0.9


class Guesser:
    """Looks up the newest tokens of one answer in its passages, and in what it said before: lists, code and tables
    repeat themselves.
    """

    def __init__(self, passages: Sequence[int]) -> None:
        self._known = [*passages, _BORDER]
        self._newest: list[int] = []
        # The last place wins: the best passage stands last.
        self._places = {
            tuple(self._known[end - _MATCHED_TOKENS : end]): end for end in range(_MATCHED_TOKENS, len(passages))
        }
        # Where the quotation that is going on continues.
        self._quoting: int | None = None
        self._right, self._wrong = _RIGHT_AT_FIRST, _WRONG_AT_FIRST
        self.passed = 0
        """Chances let pass since the last try."""

    @property
    def quoting(self) -> bool:
        """Whether there is anything to guess."""
        return self._quoting is not None

    @property
    def likely_right(self) -> float:
        """The part of the guesses, each behind right ones, that were right lately."""
        return self._right / (self._right + self._wrong)

    def learn(self, right: int, wrong: bool) -> None:
        """Take note of a try: so many right guesses, and whether a wrong one ended them."""
        self._right = _KEPT * self._right + right
        self._wrong = _KEPT * self._wrong + wrong

    def saw(self, token: int) -> None:
        """Take note of the answer's next token."""
        if self._quoting is not None and self._quoting < len(self._known) and self._known[self._quoting] == token:
            self._quoting += 1
        else:
            self._quoting = None
        self._known.append(token)
        self._newest = [*self._newest[1 - _MATCHED_TOKENS :], token]
        words = tuple(self._newest)
        if self._quoting is None:
            self._quoting = self._places.get(words)
        if len(words) == _MATCHED_TOKENS:
            self._places[words] = len(self._known)

    def guess(self, most: int) -> list[int]:
        """Up to `most` tokens that may come next; none when nothing is being quoted."""
        if self._quoting is None:
            return []
        return list(takewhile(_BORDER.__ne__, self._known[self._quoting : self._quoting + most]))

"""Guessing what an answer says next when it quotes its passages or itself: what followed the same words there."""

from collections.abc import Sequence
from itertools import takewhile

# So many equal tokens before a place make it likely that the next ones are equal too.
_NGRAM_TOKENS = 3
# Stands between the passages and the answer: what one ends with is not continued by the other.
_SEPARATOR = -1
# Guesses counted at the start of each answer, as if they had been made: hopeful enough for a try with a single guess,
# because three equal words are often chance. What is older counts less.
_RIGHT_AT_FIRST, _WRONG_AT_FIRST = 2.0, 1.0
_DECAY = 0.9


class PromptLookup:
    """Looks up the newest tokens of one answer in its passages, and in what it said before: lists, code and tables
    repeat themselves.
    """

    def __init__(self, passages: Sequence[int]) -> None:
        self._tokens = [*passages, _SEPARATOR]
        self._last_tokens: list[int] = []
        # The last place wins: the best passage stands last.
        self._ngram_ends = {
            tuple(self._tokens[end - _NGRAM_TOKENS : end]): end for end in range(_NGRAM_TOKENS, len(passages))
        }
        # Where the quotation that is going on continues.
        self._match_position: int | None = None
        self._accepted, self._rejected = _RIGHT_AT_FIRST, _WRONG_AT_FIRST
        self.skipped = 0
        """Chances let pass since the last try."""

    @property
    def has_match(self) -> bool:
        """Whether there is anything to guess."""
        return self._match_position is not None

    @property
    def acceptance_rate(self) -> float:
        """The part of the guesses, each behind right ones, that were right lately."""
        return self._accepted / (self._accepted + self._rejected)

    def record_draft(self, right: int, wrong: bool) -> None:
        """Take note of a try: so many right guesses, and whether a wrong one ended them."""
        self._accepted = _DECAY * self._accepted + right
        self._rejected = _DECAY * self._rejected + wrong

    def observe_token(self, token: int) -> None:
        """Take note of the answer's next token."""
        if (
            self._match_position is not None
            and self._match_position < len(self._tokens)
            and self._tokens[self._match_position] == token
        ):
            self._match_position += 1
        else:
            self._match_position = None
        self._tokens.append(token)
        self._last_tokens = [*self._last_tokens[1 - _NGRAM_TOKENS :], token]
        words = tuple(self._last_tokens)
        if self._match_position is None:
            self._match_position = self._ngram_ends.get(words)
        if len(words) == _NGRAM_TOKENS:
            self._ngram_ends[words] = len(self._tokens)

    def draft_tokens(self, most: int) -> list[int]:
        """Up to `most` tokens that may come next; none when nothing is being quoted."""
        if self._match_position is None:
            return []
        return list(takewhile(_SEPARATOR.__ne__, self._tokens[self._match_position : self._match_position + most]))

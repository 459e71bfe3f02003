"""Prompt lookup: drafts the tokens that followed the same n-gram in the prompt or earlier in the reply."""

from collections.abc import Sequence
from itertools import takewhile

# Tokens that must match before a position: enough for the next ones to be likely to match, too.
_NGRAM_TOKENS = 3
# Between the prompt and the reply: the end of the one is not continued by the other.
_SEPARATOR = -1
# Tokens that confirm a match: three that match are often a coincidence, a quotation goes on for longer.
_CONFIRMING_TOKENS = 4
# Prior counts of right and wrong predictions, of a new match and of a confirmed one. Older counts decay.
_PRIOR_OF_NEW, _PRIOR_OF_CONFIRMED = (1.0, 1.0), (3.0, 0.5)
_DECAY = 0.95


class PromptLookup:
    """Drafts tokens for one reply: looks up its newest tokens in its prompt and in its own text, because lists, code
    and tables repeat themselves.

    Every token shows whether the match predicted it, so the acceptance rate is known without a draft.
    """

    def __init__(self, prompt: Sequence[int]) -> None:
        """`prompt` are the tokens at its end that may be quoted."""
        self._tokens = [*prompt, _SEPARATOR]
        self._last_tokens: list[int] = []
        # The last occurrence wins: the best passage comes last.
        self._ngram_ends = {
            tuple(self._tokens[end - _NGRAM_TOKENS : end]): end for end in range(_NGRAM_TOKENS, len(prompt))
        }
        # Position after the last matching token, while there is a match, and the tokens since that it predicted.
        self._match_position: int | None = None
        self._predicted = 0
        self._counts = {False: _PRIOR_OF_NEW, True: _PRIOR_OF_CONFIRMED}

    @property
    def has_match(self) -> bool:
        """Whether the newest tokens match an earlier n-gram."""
        return self._match_position is not None

    @property
    def acceptance_rate(self) -> float:
        """Recent share of right predictions of matches like the present one."""
        right, wrong = self._counts[self._is_confirmed]
        return right / (right + wrong)

    @property
    def _is_confirmed(self) -> bool:
        return self._predicted >= _CONFIRMING_TOKENS

    def _record_prediction(self, is_right: bool) -> None:
        right, wrong = self._counts[self._is_confirmed]
        self._counts[self._is_confirmed] = (_DECAY * right + is_right, _DECAY * wrong + (not is_right))

    def observe_token(self, token: int) -> None:
        """Record the next token of the reply."""
        expected = self._expected_token()
        if expected is not None:
            self._record_prediction(expected == token)
        if self._match_position is not None and expected == token:
            self._match_position += 1
            self._predicted += 1
        else:
            self._match_position, self._predicted = None, 0
        self._tokens.append(token)
        self._last_tokens = [*self._last_tokens[1 - _NGRAM_TOKENS :], token]
        ngram = tuple(self._last_tokens)
        if self._match_position is None:
            self._match_position = self._ngram_ends.get(ngram)
        if len(ngram) == _NGRAM_TOKENS:
            self._ngram_ends[ngram] = len(self._tokens)

    def _expected_token(self) -> int | None:
        """The token that the match predicts."""
        if self._match_position is None or self._match_position >= len(self._tokens):
            return None
        token = self._tokens[self._match_position]
        return None if token == _SEPARATOR else token

    def draft_tokens(self, max_tokens: int) -> list[int]:
        """Up to `max_tokens` tokens that may come next; empty without a match."""
        if self._match_position is None:
            return []
        return list(
            takewhile(_SEPARATOR.__ne__, self._tokens[self._match_position : self._match_position + max_tokens])
        )

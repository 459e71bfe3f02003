"""Prompt lookup: drafts the tokens that followed the same n-gram in the passages or earlier in the reply."""

from collections.abc import Sequence
from itertools import takewhile

# Tokens that must match before a position: enough for the next ones to be likely to match, too.
_NGRAM_TOKENS = 3
# Between the passages and the reply: the end of the one is not continued by the other.
_SEPARATOR = -1
# Prior counts, optimistic enough that the first attempt drafts one token: a three-token match is often a coincidence.
# Older counts decay.
_PRIOR_ACCEPTED, _PRIOR_REJECTED = 2.0, 1.0
_DECAY = 0.9


class PromptLookup:
    """Drafts tokens for one reply: looks up its newest tokens in its passages and in its own text, because lists, code
    and tables repeat themselves.
    """

    def __init__(self, passages: Sequence[int]) -> None:
        self._tokens = [*passages, _SEPARATOR]
        self._last_tokens: list[int] = []
        # The last occurrence wins: the best passage comes last.
        self._ngram_ends = {
            tuple(self._tokens[end - _NGRAM_TOKENS : end]): end for end in range(_NGRAM_TOKENS, len(passages))
        }
        # Position after the last matching token, while there is a match.
        self._match_position: int | None = None
        self._accepted, self._rejected = _PRIOR_ACCEPTED, _PRIOR_REJECTED
        self.skipped = 0
        """Matches left undrafted since the last trial."""

    @property
    def has_match(self) -> bool:
        """Whether the newest tokens match an earlier n-gram."""
        return self._match_position is not None

    @property
    def acceptance_rate(self) -> float:
        """Recent share of accepted draft tokens, counting each draft up to its first rejected token."""
        return self._accepted / (self._accepted + self._rejected)

    def record_draft(self, accepted: int, rejected: bool) -> None:
        """Record a draft: its accepted tokens, and whether a rejected one followed them."""
        self._accepted = _DECAY * self._accepted + accepted
        self._rejected = _DECAY * self._rejected + rejected

    def observe_token(self, token: int) -> None:
        """Record the next token of the reply."""
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
        ngram = tuple(self._last_tokens)
        if self._match_position is None:
            self._match_position = self._ngram_ends.get(ngram)
        if len(ngram) == _NGRAM_TOKENS:
            self._ngram_ends[ngram] = len(self._tokens)

    def draft_tokens(self, max_tokens: int) -> list[int]:
        """Up to `max_tokens` tokens that may come next; empty without a match."""
        if self._match_position is None:
            return []
        return list(
            takewhile(_SEPARATOR.__ne__, self._tokens[self._match_position : self._match_position + max_tokens])
        )

"""Slots: the sequences of the KV cache, with their tokens, cache keys and limits of truncation."""

from collections.abc import Sequence

import numpy

from models.llama.kv_cache.cache_keys import EMPTY, CacheKey
from models.llama.kv_cache.state_layout import normalise_state
from models.llama.native.context import LlamaContext, TokenRun

_COMPARE_BLOCK_TOKENS = 512


class Slot:
    """One sequence of the KV cache. Used on the inference thread only."""

    def __init__(self, context: LlamaContext, sequence: int) -> None:
        self._context = context
        self._tokens: list[int] = []
        self.sequence = sequence
        self.cache_key: CacheKey = EMPTY
        self.in_use = False
        self.used_at = 0.0
        # Whether its state needs a snapshot.
        self.unsaved = False
        # Number of its tokens that a prompt with a further turn would begin with.
        self.turn_tokens = 0
        # Proleptic ordinal of the date in its tokens, 0 for none.
        self.day = 0

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def tokens(self) -> Sequence[int]:
        """The tokens held."""
        return self._tokens

    def usable_tokens(self, prompt: Sequence[int], min_prefill_tokens: int) -> int:
        """Number of cached tokens that a prompt can reuse, if at least `min_prefill_tokens` of it must be computed."""
        shared_tokens = min(common_prefix(self._tokens, prompt), max(0, len(prompt) - min_prefill_tokens))
        return shared_tokens if shared_tokens == len(self._tokens) or shared_tokens >= self._min_length else 0

    @property
    def _min_length(self) -> int:
        return self._context.min_truncation(self.sequence) if self._context.can_truncate else len(self._tokens)

    def truncate(self, count: int) -> None:
        """Drop the tokens from `count` on; all of them when the model cannot truncate that far."""
        if count >= len(self._tokens):
            return
        kept_tokens = (
            count if count >= self._min_length and self._context.truncate_sequence(self.sequence, count) else 0
        )
        if kept_tokens == 0:
            self._context.truncate_sequence(self.sequence, 0)
        del self._tokens[kept_tokens:]

    def clear(self) -> int:
        """Drop all tokens; returns the number of tokens held before."""
        count = len(self._tokens)
        self.truncate(0)
        self.cache_key = EMPTY
        self.unsaved = False
        self.turn_tokens = self.day = 0
        return count

    def prefill(self, tokens: Sequence[int]) -> None:
        """Compute tokens that follow those held. On an error they are not added, and nothing else changes."""
        succeeded = False
        try:
            self._context.prefill(TokenRun(self.sequence, len(self._tokens), tokens))
            succeeded = True
        finally:
            if not succeeded:
                self.drop_uncommitted()
        self.extend(tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """Record tokens that the context has computed after those held."""
        self._tokens.extend(tokens)
        self.unsaved = True

    def drop_uncommitted(self) -> None:
        """Drop from the context the cells that a failed computation may have left after the tokens held."""
        if not self._context.truncate_sequence(self.sequence, len(self._tokens)):
            self._tokens.clear()

    def save_state(self) -> memoryview:
        """The state of all tokens held, as bytes that tell no sequence; empty when llama.cpp returns none."""
        state = self._context.save_sequence(self.sequence)
        normalise_state(numpy.frombuffer(state, numpy.uint8))
        return state

    def restore_state(self, tokens: Sequence[int], state: memoryview) -> bool:
        """Replace the content with a saved state; False when llama.cpp rejects it, which leaves the slot empty."""
        self.clear()
        if len(tokens) > self._context.size_tokens or not self._context.restore_sequence(self.sequence, state):
            return False
        self._tokens = list(tokens)
        return True


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the common prefix in tokens."""
    count = min(len(first), len(second))
    start = 0
    # Long equal runs are compared as slices, which is some twenty times faster.
    while (
        start < count and first[start : start + _COMPARE_BLOCK_TOKENS] == second[start : start + _COMPARE_BLOCK_TOKENS]
    ):
        start += _COMPARE_BLOCK_TOKENS
    for index in range(start, count):
        if first[index] != second[index]:
            return index
    return count

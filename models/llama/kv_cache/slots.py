"""The sequences of the context: which tokens each one holds, whose they are, and how far they can be cut."""

from collections.abc import Sequence

from models.llama.kv_cache.cache_keys import EMPTY, CacheKey
from models.llama.native.context import LlamaContext, TokenRun

_COMPARED_AT_ONCE = 512


class Slot:
    """One sequence of the KV cache. Every call belongs to the `llama` thread."""

    def __init__(self, context: LlamaContext, sequence: int) -> None:
        self._context = context
        self._tokens: list[int] = []
        # Below this length it can only be emptied.
        self._floor = 0
        self.sequence = sequence
        self.cache_key: CacheKey = EMPTY
        self.in_use = False
        self.used_at = 0.0
        # Whether what it holds is to be parked.
        self.unsaved = False

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def tokens(self) -> Sequence[int]:
        """What it holds."""
        return self._tokens

    def usable_tokens(self, prompt: Sequence[int], least_left: int) -> int:
        """How many of the tokens held a prompt can use, when at least `least_left` of it are to be computed."""
        shared = min(common_prefix(self._tokens, prompt), max(0, len(prompt) - least_left))
        return shared if shared == len(self._tokens) or shared >= self._min_length else 0

    @property
    def _min_length(self) -> int:
        return self._floor if self._context.can_truncate else len(self._tokens)

    def truncate(self, count: int) -> None:
        """Drop the tokens from `count` on; all of them when the model cannot go back that far."""
        if count >= len(self._tokens):
            return
        kept = count if count >= self._min_length and self._context.truncate_sequence(self.sequence, count) else 0
        if kept == 0:
            self._context.truncate_sequence(self.sequence, 0)
            self._floor = 0
        del self._tokens[kept:]

    def clear(self) -> int:
        """Drop everything; the number of tokens that were held."""
        count = len(self._tokens)
        self.truncate(0)
        self.cache_key = EMPTY
        self.unsaved = False
        return count

    def prefill(self, tokens: Sequence[int]) -> None:
        """Compute tokens behind those held. On an error they are not held, and nothing else changed."""
        done = False
        try:
            self._context.prefill(TokenRun(self.sequence, len(self._tokens), tokens))
            done = True
        finally:
            if not done:
                self.drop_uncommitted()
        self.extend(tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """Take note of tokens that the context computed behind those held."""
        self._tokens.extend(tokens)
        self.unsaved = True

    def drop_uncommitted(self) -> None:
        """Drop from the context what a failed computation may have left behind the tokens held."""
        if not self._context.truncate_sequence(self.sequence, len(self._tokens)):
            self._tokens.clear()
            self._floor = 0

    def save_state(self) -> memoryview:
        """The state of all tokens held."""
        return self._context.save_sequence(self.sequence)

    def restore_state(self, tokens: Sequence[int], state: memoryview) -> bool:
        """Hold a saved state in place of what is held; False when llama.cpp refuses it, and then it holds nothing."""
        self.clear()
        if len(tokens) > self._context.size_tokens or not self._context.restore_sequence(self.sequence, state):
            return False
        self._tokens = list(tokens)
        self._floor = 0 if self._context.can_truncate_restored else len(tokens)
        return True


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    count = min(len(first), len(second))
    start = 0
    # Long equal stretches are compared as wholes, which is some twenty times faster.
    while start < count and first[start : start + _COMPARED_AT_ONCE] == second[start : start + _COMPARED_AT_ONCE]:
        start += _COMPARED_AT_ONCE
    for index in range(start, count):
        if first[index] != second[index]:
            return index
    return count

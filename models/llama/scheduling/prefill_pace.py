"""Measured pace of prefill by size of the chunk: a few tokens at once take longer for each than many."""

from collections.abc import Callable

from models.llama.moving_average import moving_average
from models.llama.plan.prefill_chunks import MIN_CHUNK_TOKENS

_SMOOTHING = 0.3
# A chunk that took longer than so many times what was expected was disturbed by something else.
_MAX_OUTLIER = 2.0


class PrefillPace:
    """Seconds per unit of prefill cost, one for each power of two of tokens. Used on the inference thread only."""

    def __init__(self) -> None:
        self._paces: dict[int, float] = {}

    @property
    def is_known(self) -> bool:
        """Whether a chunk was measured."""
        return bool(self._paces)

    def record(self, tokens: int, cost: float, seconds: float) -> None:
        """Record a chunk of so many tokens and of this cost (`PrefillPlan.cost`)."""
        size, pace = tokens.bit_length(), seconds / cost
        known = self._paces.get(size)
        self._paces[size] = (
            pace if known is None else moving_average(known, min(pace, _MAX_OUTLIER * known), _SMOOTHING)
        )

    def seconds(self, tokens: int, cost: float) -> float:
        """Expected seconds of a chunk; 0 before the first."""
        if not self._paces:
            return 0.0
        size = tokens.bit_length()
        # Larger chunks take no longer for each token; a size without a measurement takes at least what larger ones do.
        smaller = [pace for known, pace in self._paces.items() if known <= size]
        return cost * (min(smaller) if smaller else self._paces[min(self._paces)])

    def tokens_within(self, seconds: float, cost: Callable[[int], float], min_tokens: int, max_tokens: int) -> int:
        """Largest chunk, in steps of MIN_CHUNK_TOKENS, that is expected to take at most so many seconds; at least
        `min_tokens`. `cost` is that of a chunk of so many tokens.
        """
        fitting = min_tokens
        for tokens in range(min_tokens, 1 + max_tokens, MIN_CHUNK_TOKENS):
            if self.seconds(tokens, cost(tokens)) <= seconds:
                fitting = tokens
        return min(fitting, max_tokens)

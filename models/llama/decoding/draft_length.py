"""Adaptive draft length for speculative decoding, from measured step times and acceptance rates."""

from models.llama.decoding.prompt_lookup import PromptLookup
from models.llama.moving_average import moving_average_or_first

_SMOOTHING = 0.1
# Until it is measured: cost of each further token in a step, in steps of one token. SmolLM2-135M Q4_1, two cores.
_DEFAULT_TOKEN_COST = 0.5
# Speed-up that a draft must promise, so that noise in the measurement does not switch drafting on.
_MIN_SPEEDUP = 1.05
# Matches that a reply leaves undrafted before the next trial.
_SKIPS_BEFORE_RETRY = 24


class DraftLengthController:
    """Chooses the draft length from the measurements of one engine. Used on the inference thread only."""

    def __init__(self, max_draft_tokens: int) -> None:
        """`max_draft_tokens` is the longest draft that was proven not to change the output; 0 disables drafting."""
        self._max_draft_tokens = max_draft_tokens
        # Mean seconds of a step, by the number of draft tokens in it; 0 before the first.
        self._step_s = [0.0] * (1 + max_draft_tokens)

    @property
    def is_enabled(self) -> bool:
        """Whether drafts are allowed at all."""
        return self._max_draft_tokens > 0

    def draft_length(self, lookup: PromptLookup | None) -> int:
        """Number of tokens to draft now: the one that promises the most tokens per second; 0 for no draft."""
        if lookup is None or not self._max_draft_tokens or not lookup.has_match:
            return 0
        best_length, best_rate = 0, _MIN_SPEEDUP
        expected_tokens = probability = 1.0
        for drafted in range(1, 1 + self._max_draft_tokens):
            probability *= lookup.acceptance_rate
            expected_tokens += probability
            if expected_tokens / self._step_cost(drafted) > best_rate:
                best_length, best_rate = drafted, expected_tokens / self._step_cost(drafted)
        if best_length:
            return best_length
        lookup.skipped += 1
        if lookup.skipped >= _SKIPS_BEFORE_RETRY:
            lookup.skipped = 0
            return 1
        return 0

    def _step_cost(self, drafted: int) -> float:
        """Cost of a step with so many draft tokens, in steps without a draft.

        An unmeasured length is estimated from the longest measured one below it: where a short draft costs less than
        assumed, longer ones do so too, and would otherwise never be tried.
        """
        if not self._step_s[0]:
            return _assumed_cost(drafted)
        measured = next(length for length in range(drafted, -1, -1) if self._step_s[length])
        return self._step_s[measured] / self._step_s[0] * _assumed_cost(drafted) / _assumed_cost(measured)

    def observe_step(self, lookup: PromptLookup | None, drafted: int, sampled: int, seconds: float) -> None:
        """Record a step of a single reply: its draft tokens, the tokens sampled in it, and its seconds."""
        self._step_s[drafted] = moving_average_or_first(self._step_s[drafted], seconds, _SMOOTHING)
        if lookup is None or drafted == 0:
            return
        lookup.record_draft(sampled - 1, rejected=sampled <= drafted)


def _assumed_cost(drafted: int) -> float:
    return 1 + drafted * _DEFAULT_TOKEN_COST

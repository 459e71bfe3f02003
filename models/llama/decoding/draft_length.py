"""Whether guessing pays: how many guesses may be tried at once, and what trying them has cost and brought so far."""

from models.llama.decoding.prompt_lookup import PromptLookup

_SMOOTHING = 0.1
# Until it is measured: what each token more adds to a step, in steps of one token. SmolLM2-135M Q4_1, two cores.
_DEFAULT_TOKEN_COST = 0.5
# What guessing must bring beyond its cost, so that noise in the measurement does not switch it on.
_MIN_SPEEDUP = 1.05
# Chances that a reply lets pass before it tries again.
_SKIPS_BEFORE_RETRY = 24


class DraftLengthController:
    """The measurement of one engine. Every call belongs to the `llama` thread."""

    def __init__(self, most_guessed: int) -> None:
        """`most_guessed` is the number of guesses that were proven to change nothing."""
        self._max_draft_tokens = most_guessed
        # Mean seconds of a step with so many guesses; 0 before the first.
        self._step_s = [0.0] * (1 + most_guessed)

    @property
    def is_enabled(self) -> bool:
        """Whether guessing is allowed at all."""
        return self._max_draft_tokens > 0

    def draft_length(self, guesser: PromptLookup | None) -> int:
        """How many tokens may be guessed now: as many as promise the most tokens a second."""
        if guesser is None or not self._max_draft_tokens or not guesser.has_match:
            return 0
        best, best_rate = 0, _MIN_SPEEDUP
        expected = chance = 1.0
        for guessed in range(1, 1 + self._max_draft_tokens):
            chance *= guesser.acceptance_rate
            expected += chance
            if expected / self._step_cost(guessed) > best_rate:
                best, best_rate = guessed, expected / self._step_cost(guessed)
        if best:
            return best
        guesser.skipped += 1
        if guesser.skipped >= _SKIPS_BEFORE_RETRY:
            guesser.skipped = 0
            return 1
        return 0

    def _step_cost(self, guessed: int) -> float:
        """How many steps without guesses one with so many takes."""
        if self._step_s[0] and self._step_s[guessed]:
            return self._step_s[guessed] / self._step_s[0]
        return 1 + guessed * _DEFAULT_TOKEN_COST

    def observe_step(self, guesser: PromptLookup | None, guessed: int, chosen: int, seconds: float) -> None:
        """A step of one reply alone took so long, with so many guesses, and chose so many tokens."""
        self._step_s[guessed] = _blend(self._step_s[guessed], seconds)
        if guesser is None or guessed == 0:
            return
        guesser.record_draft(chosen - 1, wrong=chosen <= guessed)


def _blend(mean: float, newest: float) -> float:
    return newest if mean == 0.0 else mean + _SMOOTHING * (newest - mean)

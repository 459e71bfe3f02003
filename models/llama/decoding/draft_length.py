"""Whether guessing pays: how many guesses may be tried at once, and what trying them has cost and brought so far."""

from models.llama.decoding.prompt_lookup import Guesser

_NEWEST = 0.1
# Until it is measured: what each token more adds to a step, in steps of one token. SmolLM2-135M Q4_1, two cores.
_COST_OF_ONE_MORE = 0.5
# What guessing must bring beyond its cost, so that noise in the measurement does not switch it on.
_MARGIN = 1.05
# Chances that a reply lets pass before it tries again.
_PASSED_BY = 24


class Speculation:
    """The measurement of one engine. Every call belongs to the `llama` thread."""

    def __init__(self, most_guessed: int) -> None:
        """`most_guessed` is the number of guesses that were proven to change nothing."""
        self._most = most_guessed
        # Mean seconds of a step with so many guesses; 0 before the first.
        self._step_s = [0.0] * (1 + most_guessed)

    @property
    def possible(self) -> bool:
        """Whether guessing is allowed at all."""
        return self._most > 0

    def most(self, guesser: Guesser | None) -> int:
        """How many tokens may be guessed now: as many as promise the most tokens a second."""
        if guesser is None or not self._most or not guesser.quoting:
            return 0
        best, best_rate = 0, _MARGIN
        expected = chance = 1.0
        for guessed in range(1, 1 + self._most):
            chance *= guesser.likely_right
            expected += chance
            if expected / self._cost(guessed) > best_rate:
                best, best_rate = guessed, expected / self._cost(guessed)
        if best:
            return best
        guesser.passed += 1
        if guesser.passed >= _PASSED_BY:
            guesser.passed = 0
            return 1
        return 0

    def _cost(self, guessed: int) -> float:
        """How many steps without guesses one with so many takes."""
        if self._step_s[0] and self._step_s[guessed]:
            return self._step_s[guessed] / self._step_s[0]
        return 1 + guessed * _COST_OF_ONE_MORE

    def wrote(self, guesser: Guesser | None, guessed: int, chosen: int, seconds: float) -> None:
        """A step of one reply alone took so long, with so many guesses, and chose so many tokens."""
        self._step_s[guessed] = _blend(self._step_s[guessed], seconds)
        if guesser is None or guessed == 0:
            return
        guesser.learn(chosen - 1, wrong=chosen <= guessed)


def _blend(mean: float, newest: float) -> float:
    return newest if mean == 0.0 else mean + _NEWEST * (newest - mean)

"""Whether guessing pays: how many guesses may be tried at once, and what trying them has cost and brought so far."""

from models.llama.context import MOST_GUESSED, Context, Run
from models.llama.guessing import Guesser
from models.llama.library import library
from models.llama.slots import Slot

_NEWEST = 0.1
# Until it is measured: three tokens in one step took 1.9 times as long as one on two cores.
_COST_AT_FIRST = 1.9
# What guessing must bring beyond its cost, so that noise in the measurement does not switch it on.
_MARGIN = 1.05
# Chances that a reply lets pass before it tries again.
_PASSED_BY = 24
_PROOF_PREFIX_TOKENS = 16


class Speculation:
    """The measurement of one engine. Every call belongs to the `llama` thread."""

    def __init__(self, most_guessed: int) -> None:
        """`most_guessed` is the number of guesses that were proven to change nothing."""
        self._most = most_guessed
        self._plain_s = 0.0
        self._guessing_s = 0.0
        self.tried = 0
        self.right = 0

    @property
    def possible(self) -> bool:
        """Whether guessing is allowed at all."""
        return self._most > 0

    def most(self, guesser: Guesser | None) -> int:
        """How many tokens may be guessed now."""
        if guesser is None or not self._most or not guesser.quoting:
            return 0
        # A step brings one token anyway; the rest of its cost must be earned by right guesses.
        if guesser.usually_right >= (self._cost - 1) * _MARGIN:
            return self._most
        guesser.passed += 1
        if guesser.passed >= _PASSED_BY:
            guesser.passed = 0
            return self._most
        return 0

    @property
    def _cost(self) -> float:
        """How many steps without guesses one with guesses takes."""
        return self._guessing_s / self._plain_s if self._guessing_s and self._plain_s else _COST_AT_FIRST

    def wrote(self, guesser: Guesser | None, guessed: int, chosen: int, seconds: float) -> None:
        """A step of one reply alone took so long, with so many guesses, and chose so many tokens."""
        if guessed == 0:
            self._plain_s = _blend(self._plain_s, seconds)
        if guesser is None or guessed < self._most:
            return
        self._guessing_s = _blend(self._guessing_s, seconds)
        right = chosen - 1
        self.tried += guessed
        self.right += right
        guesser.usually_right += 4 * _NEWEST * (right - guesser.usually_right)


def proven_guesses(context: Context, vocabulary: int) -> int:
    """How many tokens behind the newest one can be computed together with it without changing any of their logits.

    Kernels may round in another way when a batch is larger, and then a guess could change the answer. Two are known to
    do so, and a short prompt might pass the test by luck: llamafile's, compiled in by default, which multiply matrices
    only from two tokens on, and flash attention, which splits a long cache for a single token. 0 with them, and for
    models that cannot go back.
    """
    if not context.rewinds or context.flash_attention or b"LLAMAFILE = 1" in library().llama_print_system_info():
        return 0
    slot = Slot(context, 0)
    # Any tokens will do; these are spread over the vocabulary.
    tokens = [(7919 * number + 13) % vocabulary for number in range(_PROOF_PREFIX_TOKENS + 1 + MOST_GUESSED)]
    slot.prefill(tokens[:_PROOF_PREFIX_TOKENS])
    tested = tokens[_PROOF_PREFIX_TOKENS:]
    alone = []
    for number, token in enumerate(tested):
        context.decode([Run(0, _PROOF_PREFIX_TOKENS + number, [token])])
        alone.append(bytes(context.logits(0)))
    proven = 0
    for guessed in range(1, MOST_GUESSED + 1):
        slot.repair()
        context.decode([Run(0, _PROOF_PREFIX_TOKENS, tested[: 1 + guessed])])
        if [bytes(context.logits(number)) for number in range(1 + guessed)] != alone[: 1 + guessed]:
            break
        proven = guessed
    slot.clear()
    return proven


def _blend(mean: float, newest: float) -> float:
    return newest if mean == 0.0 else mean + _NEWEST * (newest - mean)

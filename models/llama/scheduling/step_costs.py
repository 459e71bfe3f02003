"""Measured seconds of decode steps, by number of replies and tokens of each, and optimistic estimates for the rest."""

from dataclasses import dataclass

# How much of a step's deviation changes the pace of all sizes, and how much the cost of its own. Other programs and
# long contexts slow down all of them: sizes measured at different times can be compared only by a common pace.
_COMMON_SHARE, _OWN_SHARE = 0.25, 0.05
# A step that took so many times longer or shorter than expected was disturbed by something else.
_MAX_DEVIATION = 2.0
# The first measurements count as the fastest of them: memory is touched and graphs are built for the first time.
_TRIALS = 2
# Steps after which a size that was not used is tried again, and between two such trials.
_STALE_STEPS, _STEPS_BETWEEN_RETRIALS = 512, 128
# Until anything is measured: cost of each further token in a step, in steps of one token.
_DEFAULT_TOKEN_COST = 0.5

StepSize = tuple[int, int]
"""Number of replies in a step, and of tokens of each."""


@dataclass(slots=True)
class _Cost:
    """Mean cost in seconds at a pace of 1, number of measurements, and the number of the last step measured."""

    mean: float
    count: int
    measured_at: int


class StepCosts:
    """The costs of one model on this machine. Used on the inference thread only."""

    def __init__(self) -> None:
        self._costs: dict[StepSize, _Cost] = {}
        self._steps = 0
        # How slow the machine is now, for all sizes alike.
        self._pace = 1.0

    def record(self, replies: int, tokens_each: int, seconds: float) -> None:
        """Record a step of so many replies with so many tokens of each."""
        self._steps += 1
        cost = self._costs.setdefault((replies, tokens_each), _Cost(seconds / self._pace, 0, 0))
        if cost.count < _TRIALS:
            cost.mean = min(cost.mean, seconds / self._pace)
        else:
            deviation = min(max(seconds / (cost.mean * self._pace), 1 / _MAX_DEVIATION), _MAX_DEVIATION)
            self._pace *= deviation**_COMMON_SHARE
            cost.mean *= deviation**_OWN_SHARE
        cost.count, cost.measured_at = cost.count + 1, self._steps
        if self._steps % _STEPS_BETWEEN_RETRIALS == 0:
            self._distrust_stalest()

    def _distrust_stalest(self) -> None:
        """Have the size that was not measured for longest tried once more: the machine may have changed since."""
        stale = [cost for cost in self._costs.values() if self._steps - cost.measured_at > _STALE_STEPS]
        if stale:
            stalest = min(stale, key=lambda cost: cost.measured_at)
            stalest.count, stalest.measured_at = _TRIALS - 1, self._steps

    def seconds(self, replies: int, tokens_each: int) -> float:
        """Seconds of a step of this size: measured, or else the least that they can be, so that it will be tried.

        Before the first step: in units of a step of one token.
        """
        if (measured := self.measured(replies, tokens_each)) is not None:
            return measured
        known = [size for size, cost in self._costs.items() if cost.count >= _TRIALS]
        if not known:
            return 1 + (replies * tokens_each - 1) * _DEFAULT_TOKEN_COST
        return max(self._least_seconds(size, (replies, tokens_each)) for size in known)

    def measured(self, replies: int, tokens_each: int) -> float | None:
        """Mean seconds of steps of this size; None when there were too few."""
        cost = self._costs.get((replies, tokens_each))
        return cost.mean * self._pace if cost is not None and cost.count >= _TRIALS else None

    def _least_seconds(self, known: StepSize, size: StepSize) -> float:
        """What the time of a known size says at least of another: more tokens take no less time, and so many steps of
        the other size that they hold the tokens of the known one take no less than it.
        """
        steps = -(-known[0] // size[0]) * -(-known[1] // size[1])
        return self._costs[known].mean * self._pace / steps

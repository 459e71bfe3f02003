"""Figures of both servers and the ratio between them, round for round."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks.engine.beside.servers import Server, ServerPair
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell


@dataclass
class Rounds:
    """What was measured of both, one value a round each."""

    pair: ServerPair
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def note(self, server: Server, value: float) -> None:
        """One round of one of them."""
        (self.ours if server is self.pair.ours else self.theirs).append(value)

    def samples(self, name: str, ratio: bool = True) -> Samples:
        """The samples of both, and of their ratio in each round."""
        both = {f"ours_{name}": self.ours, f"theirs_{name}": self.theirs}
        tell(f"{name}: {median(self.ours):.4g} of ours, {median(self.theirs):.4g} of theirs")
        if not ratio:
            return both
        return both | {f"ours_over_theirs_{name}": quotients(self.ours, self.theirs)}


def quotients(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """Each of the ones over its counterpart."""
    return [one / other for one, other in zip(ones, others, strict=True)]

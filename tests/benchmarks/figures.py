"""What a benchmark promises and what it measured: figures with their bars, and the verdict on them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

Samples = Mapping[str, Sequence[float]]
"""What an arm measured: figures by name, each with one value a round."""


@dataclass(frozen=True)
class Figure:
    """A figure to measure. `bar` and `aim` are limits on the median; without a bar it is told and never judged."""

    name: str
    unit: str
    sense: Literal[">=", "<="] = ">="
    bar: float | None = None
    aim: float | None = None

    def verdict(self, samples: Sequence[float]) -> dict[str, Any]:
        """The figure as plain values: median, minimum, maximum, and whether the bar was met. No samples: not met."""
        good = [sample for sample in samples if math.isfinite(sample)]
        value = median(good) if good and len(good) == len(samples) else None
        told: dict[str, Any] = {
            "value": _rounded(value),
            "minimum": _rounded(min(good, default=None)),
            "maximum": _rounded(max(good, default=None)),
            "unit": self.unit,
            "rounds": len(samples),
        }
        if self.bar is not None:
            told["bar"] = f"{self.sense} {self.bar:g}"
            told["passed"] = self._meets(value, self.bar)
        if self.aim is not None:
            told["aim"] = f"{self.sense} {self.aim:g}"
            told["aim_reached"] = self._meets(value, self.aim)
        return told

    def _meets(self, value: float | None, limit: float) -> bool:
        if value is None:
            return False
        return value >= limit if self.sense == ">=" else value <= limit


@dataclass(frozen=True)
class Arm:
    """A measurement, run in a process of its own: a module whose `measure(folder)` returns samples of the figures."""

    name: str
    module: str
    figures: tuple[Figure, ...]
    timeout_s: float = 240.0


def judged(arm: Arm, samples: Samples) -> dict[str, Any]:
    """The verdicts on all figures of an arm; one it did not measure is missed."""
    strangers = samples.keys() - {figure.name for figure in arm.figures}
    if strangers:
        raise ValueError(f"{arm.name} measured what its table does not name: {sorted(strangers)}")
    return {figure.name: figure.verdict(samples.get(figure.name, ())) for figure in arm.figures}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")

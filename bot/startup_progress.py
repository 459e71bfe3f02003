"""What a start reports about its long steps, for whoever watches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Step = Literal["fetching", "loading", "opening"]


@dataclass(frozen=True, slots=True)
class StartProgress:
    """How far a step of the start has come: `done` of `total` in the step's own unit; 0 of 0 when that is unknown."""

    step: Step
    name: str
    done: int = 0
    total: int = 0


Report = Callable[[StartProgress], None]


def silent(progress: StartProgress) -> None:
    """Report to nobody."""

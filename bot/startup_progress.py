"""Progress of the long steps of startup."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StartupStep = Literal["fetching", "loading", "opening"]


@dataclass(frozen=True, slots=True)
class StartupProgress:
    """Progress of one step: `done` of `total` in the step's own unit; 0 of 0 when that is unknown."""

    step: StartupStep
    name: str
    done: int = 0
    total: int = 0


ReportStartup = Callable[[StartupProgress], None]


def ignore_progress(progress: StartupProgress) -> None:
    """Report nothing."""

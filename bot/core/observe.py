"""Port for metrics: the events of the core that are counted."""

from typing import Literal, Protocol

from bot.core.messages import Timings

Outcome = Literal["answered", "failed", "cancelled", "unsupported"]


class Observer(Protocol):
    """Records metrics; every method returns immediately."""

    def queue_changed(self, waiting: int, running: int) -> None:
        """The queue changed."""
        ...

    def search_ended(self, took_s: float, hits: int) -> None:
        """A search ended."""
        ...

    def answer_ended(self, outcome: Outcome, timings: Timings) -> None:
        """An answer ended."""
        ...

    def error_reported(self, kind: str) -> None:
        """An error of the named kind reached a person."""
        ...

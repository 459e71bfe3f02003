"""What the core reports about its own work, for metrics."""

from typing import Literal, Protocol

from bot.core.messages import Timings

Outcome = Literal["answered", "failed", "cancelled", "unsupported"]


class Observer(Protocol):
    """Notes figures; every method returns at once."""

    def queued(self, waiting: int, running: int) -> None:
        """The queue changed."""
        ...

    def retrieved(self, took_s: float, hits: int) -> None:
        """A search ended."""
        ...

    def ended(self, outcome: Outcome, timings: Timings) -> None:
        """An answer ended."""
        ...

    def failed(self, kind: str) -> None:
        """An error of the named kind reached a person."""
        ...

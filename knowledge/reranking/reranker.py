"""Port of rerankers: the score of each passage for a question, by a model that reads both together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Reranker(Protocol):
    """Scores passages for a question. Its methods run on the event loop and do not block it."""

    @property
    def name(self) -> str:
        """The model's name, for people."""
        ...

    async def prepare(self) -> None:
        """Load what the first question would otherwise wait for. Raises RerankingFailed."""
        ...

    async def score_passages(self, question: str, texts: Sequence[str]) -> list[float]:
        """A score for each text, in order; higher is more relevant, and only the order counts.

        A cancelled call soon stops computing. Raises RerankingFailed.
        """
        ...

    async def close(self) -> None:
        """Free threads and connections."""
        ...


@dataclass(eq=False)
class RerankingFailed(Exception):
    """The reranker cannot be loaded, reached or understood; `reason` is a sentence for the log and the admin."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason

"""Order of candidates by a reranker, within a time limit; the fused order stands where it fails or is late."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from knowledge.fusion import RankedPassage
from knowledge.reranking.reranker import Reranker, RerankingFailed
from knowledge.reranking.settings import RerankingSettings

log = logging.getLogger(__name__)

RANKER = "reranker"
"""The reranker's name in `RankedPassage.ranks`."""
_MAX_FAILURES = 3
_PAUSE_S = 60.0
"""After three failures in a row no question waits for the reranker for a minute."""


@dataclass(frozen=True, slots=True)
class RerankedOrder:
    """The candidates, best first, and the reranker's scores by passage; without scores the order is the fused one."""

    ranked: tuple[RankedPassage, ...]
    scores: dict[int, float]
    took_s: float = 0.0


class Reranking:
    """Puts the first candidates into a reranker's order. Used from one event loop."""

    def __init__(self, reranker: Reranker, settings: RerankingSettings) -> None:
        self._reranker = reranker
        self._settings = settings
        self._failures = 0
        self._paused_until = 0.0

    @property
    def candidates(self) -> int:
        """How many candidates are reranked."""
        return self._settings.candidates

    async def prepare(self) -> None:
        """Load the reranker; one that cannot be loaded is told in the log, and the fused order stands."""
        try:
            await self._reranker.prepare()
        except RerankingFailed as error:
            log.error("Searching without the reranker until it works: %s", error)

    async def reorder(self, question: str, ranked: Sequence[RankedPassage], texts: Sequence[str]) -> RerankedOrder:
        """The candidates with the first ones, whose texts are given, in the reranker's order.

        They keep their fused scores, and their ranks tell the reranker's place.
        """
        began = time.monotonic()
        scores = await self._score(question, texts) if len(texts) > 1 else []
        if not scores:
            return RerankedOrder(tuple(ranked), {}, time.monotonic() - began)
        head, tail = ranked[: len(texts)], ranked[len(texts) :]
        order = sorted(range(len(head)), key=lambda number: (-scores[number], number))
        reordered = (
            replace(head[number], ranks={**head[number].ranks, RANKER: place})
            for place, number in enumerate(order, start=1)
        )
        by_id = {item.passage_id: score for item, score in zip(head, scores, strict=True)}
        return RerankedOrder((*reordered, *tail), by_id, time.monotonic() - began)

    async def close(self) -> None:
        """Close the reranker."""
        await self._reranker.close()

    async def _score(self, question: str, texts: Sequence[str]) -> list[float]:
        """The scores; empty when the reranker failed, was late, or is paused."""
        if time.monotonic() < self._paused_until:
            return []
        try:
            async with asyncio.timeout(self._settings.time_limit_s):
                scores = await self._reranker.score_passages(question, texts)
        except TimeoutError:
            self._note_failure(
                f"{self._reranker.name} took longer than {self._settings.time_limit_s:g} s for {len(texts)} passages: "
                "raise knowledge.reranking.time_limit_s, or lower candidates."
            )
            return []
        except RerankingFailed as error:
            self._note_failure(str(error))
            return []
        self._failures = 0
        return scores

    def _note_failure(self, reason: str) -> None:
        self._failures += 1
        log.warning("Kept the fused order, because the reranker gave none: %s", reason)
        if self._failures >= _MAX_FAILURES:
            self._failures, self._paused_until = 0, time.monotonic() + _PAUSE_S
            log.warning("Searching without the reranker for %g s, after %d failures.", _PAUSE_S, _MAX_FAILURES)

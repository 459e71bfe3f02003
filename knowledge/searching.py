"""Gathers the evidence for a question: which passages share its words, and which are near its vector."""

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from knowledge import fusion
from knowledge.embedding import Embedder, EmbeddingFailed, FloatArray
from knowledge.fusion import Evidence
from knowledge.lexical import Lexicon
from knowledge.store import Store
from knowledge.vector_search import Neighbours
from knowledge.vectors import unpack
from knowledge.worker_thread import Worker

log = logging.getLogger(__name__)

_CANDIDATES = 50
"""How deep each ranker is asked; what both leave out cannot be found."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What the rankers found for one text. `vector` is None when words alone decide."""

    terms: list[frozenset[str]]
    ideal: float
    bm25: dict[int, float]
    vector: FloatArray | None
    cosines: dict[int, float]
    background: float


class Searcher:
    """Asks both rankers. Questions are embedded on a thread of their own, so that bulk work never holds them up."""

    def __init__(self, store: Store, neighbours: Neighbours, embedder: Embedder) -> None:
        self._store = store
        self._neighbours = neighbours
        self._embedder = embedder
        self._lexicon = Lexicon()
        self._questions = Worker("query-embed")
        self.vectors_fit = False
        """Whether the stored vectors are of this embedder; until then words alone decide."""

    async def fingerprint(self) -> str:
        """The embedder's fingerprint, worked out on the questions' thread. Raises EmbeddingFailed."""
        return await self._questions.run(lambda: self._embedder.fingerprint)

    async def evidence(self, texts: Iterable[str], collections: Collection[int]) -> list[Evidence]:
        """For each text, what both rankers say of the candidates of all texts."""
        # Together, here and below: what waits in a thread's queue does not have to wake it.
        found = await asyncio.gather(*(self._find(text, collections) for text in texts))
        candidates: set[int] = set()
        for one in found:
            candidates |= one.bm25.keys() | one.cosines.keys()
        # While a reindex runs an index still knows passages that are gone.
        candidates = await self._store.existing(candidates)
        return await asyncio.gather(*(self._judge(one, candidates) for one in found))

    async def close(self) -> None:
        """End the questions' thread."""
        await self._questions.close()

    async def _find(self, text: str, collections: Collection[int]) -> _Found:
        vector, (terms, bm25, ideal) = await asyncio.gather(self._embed(text), self._match(text, collections))
        cosines, background = dict[int, float](), 0.0
        if vector is not None:
            nearest = await self._neighbours.search(vector, collections, _CANDIDATES)
            cosines, background = nearest.cosines, nearest.background
        return _Found(terms, ideal, bm25, vector, cosines, background)

    async def _match(
        self, text: str, collections: Collection[int]
    ) -> tuple[list[frozenset[str]], dict[int, float], float]:
        terms = self._lexicon.terms(text, await self._store.languages())
        frequencies, count = await asyncio.gather(self._store.frequencies(terms), self._store.count())
        # A word of most passages weighs next to nothing, and costs a look at each of them.
        telling = [term for term, n in zip(terms, frequencies, strict=True) if 2 * n <= count] or terms
        found = await self._store.matching(telling, collections, _CANDIDATES)
        return terms, found, fusion.ideal_bm25(frequencies, count)

    async def _embed(self, text: str) -> FloatArray | None:
        if not self.vectors_fit:
            return None
        try:
            return await self._questions.run(lambda: self._embedder.embed_question(text))
        except EmbeddingFailed as error:
            log.error("%s This question is answered by words only.", error)
            return None

    async def _judge(self, found: _Found, candidates: set[int]) -> Evidence:
        bm25 = found.bm25 | await self._store.bm25(found.terms, candidates - found.bm25.keys())
        cosines = found.cosines | await self._cosines(found.vector, candidates - found.cosines.keys())
        return Evidence(
            {key: bm25[key] for key in candidates & bm25.keys()},
            found.ideal,
            {key: cosines[key] for key in candidates & cosines.keys()},
            found.background,
        )

    async def _cosines(self, vector: FloatArray | None, ids: Collection[int]) -> dict[int, float]:
        if vector is None or not ids:
            return {}
        stored = await self._store.vectors(ids)
        cosines = unpack(list(stored.values()), vector.shape[0]).astype(np.float32) @ vector
        return dict(zip(stored, cosines.tolist(), strict=True))

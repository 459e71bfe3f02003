"""Candidate scoring: BM25 and cosine scores of the passages that may answer a question."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from knowledge import fusion
from knowledge.embedding import Embedder, EmbeddingFailed, FloatArray
from knowledge.fusion import RankerScores
from knowledge.lexical import WordStemmer
from knowledge.store.store import KnowledgeStore
from knowledge.vector_search import VectorSearch
from knowledge.vectors import unpack_vectors
from knowledge.worker_thread import WorkerThread

T = TypeVar("T")

log = logging.getLogger(__name__)

_CANDIDATES = 50
"""Passages asked of each ranker; what both leave out cannot be found."""


@dataclass(frozen=True, slots=True)
class _Matches:
    """The rankers' results for one text. `vector` is None when only full-text search is available."""

    terms: list[frozenset[str]]
    ideal_score: float
    bm25: dict[int, float]
    vector: FloatArray | None
    cosines: dict[int, float]
    mean_cosine: float
    timings: dict[str, float]


class Searcher:
    """Runs both rankers. Questions are embedded on a thread of their own, so that bulk work does not delay them."""

    def __init__(self, store: KnowledgeStore, vector_search: VectorSearch, embedder: Embedder) -> None:
        self._store = store
        self._vector_search = vector_search
        self._embedder = embedder
        self._stemmer = WordStemmer()
        self._query_thread = WorkerThread("query-embed")
        self.with_vectors: set[int] = set()
        """The collections whose vectors were made by this embedder; the others are searched by words only."""

    async def embedder_fingerprint(self) -> str:
        """The embedder's fingerprint, computed on the query thread. Raises EmbeddingFailed."""
        return await self._query_thread.run(lambda: self._embedder.fingerprint)

    async def score_candidates(self, texts: Iterable[str], collections: Collection[int]) -> list[RankerScores]:
        """For each text, both rankers' scores of the candidates of all texts."""
        # Submitted together, here and below, so that a thread is woken once.
        found = await asyncio.gather(*(self._find(text, collections) for text in texts))
        candidates: set[int] = set()
        for one in found:
            candidates |= one.bm25.keys() | one.cosines.keys()
        # During a reindex an index may still hold deleted passages.
        candidates = await self._store.reader.existing_ids(candidates)
        return await asyncio.gather(*(self._complete_scores(one, candidates, collections) for one in found))

    async def close(self) -> None:
        """End the query thread."""
        await self._query_thread.close()

    async def _find(self, text: str, collections: Collection[int]) -> _Matches:
        usable = self.with_vectors.intersection(collections)
        timings: dict[str, float] = {}
        vector, (terms, bm25, ideal) = await asyncio.gather(
            _timed(timings, "embedding", self._embed(text) if usable else _no_vector()),
            _timed(timings, "lexical", self._match(text, collections)),
        )
        cosines, mean_cosine = dict[int, float](), 0.0
        if vector is not None:
            searching = self._vector_search.find_nearest(vector, sorted(usable), _CANDIDATES)
            nearest = await _timed(timings, "vector", searching)
            cosines, mean_cosine = nearest.cosines, nearest.mean_cosine
        return _Matches(terms, ideal, bm25, vector, cosines, mean_cosine, timings)

    async def _match(
        self, text: str, collections: Collection[int]
    ) -> tuple[list[frozenset[str]], dict[int, float], float]:
        terms = self._stemmer.query_terms(text, await self._store.reader.document_languages())
        frequencies, count = await asyncio.gather(
            self._store.reader.document_frequencies(terms), self._store.reader.count_passages()
        )
        # A term of most passages weighs next to nothing and costs a visit to each of them.
        rare = [term for term, n in zip(terms, frequencies, strict=True) if 2 * n <= count] or terms
        found = await self._store.reader.match_passages(rare, collections, _CANDIDATES)
        return terms, found, fusion.ideal_bm25(frequencies, count)

    async def _embed(self, text: str) -> FloatArray | None:
        try:
            return await self._query_thread.run(lambda: self._embedder.embed_question(text))
        except EmbeddingFailed as error:
            log.error("Searched for this question by words only: %s", error)
            return None

    async def _complete_scores(
        self, found: _Matches, candidates: set[int], collections: Collection[int]
    ) -> RankerScores:
        bm25 = found.bm25 | await self._store.reader.bm25_scores(found.terms, candidates - found.bm25.keys())
        usable = self.with_vectors.intersection(collections)
        cosines = found.cosines | await self._cosines(found.vector, candidates - found.cosines.keys(), usable)
        return RankerScores(
            {key: bm25[key] for key in candidates & bm25.keys()},
            found.ideal_score,
            {key: cosines[key] for key in candidates & cosines.keys()},
            found.mean_cosine,
            found.timings,
        )

    async def _cosines(
        self, vector: FloatArray | None, ids: Collection[int], collections: Collection[int]
    ) -> dict[int, float]:
        if vector is None or not ids:
            return {}
        stored = await self._store.vectors.get_vectors(ids, collections)
        cosines = unpack_vectors(list(stored.values()), vector.shape[0]).astype(np.float32) @ vector
        return dict(zip(stored, cosines.tolist(), strict=True))


async def _timed(timings: dict[str, float], step: str, work: Awaitable[T]) -> T:
    """The result of a step, whose seconds are noted."""
    began = time.monotonic()
    result = await work
    timings[step] = time.monotonic() - began
    return result


async def _no_vector() -> None:
    """In place of a question's vector, where no collection has vectors to compare it with."""

"""Candidate scoring: BM25 and cosine scores of the passages that may answer a question."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from knowledge import fusion
from knowledge.embedding import Embedder, EmbeddingFailed, FloatArray
from knowledge.fusion import RankedPassage, RankerScores
from knowledge.lexical import WordStemmer, split_words, visible_text
from knowledge.query_terms import asking_clause, question_terms
from knowledge.spelling import FEWEST_LETTERS, is_near, near_spellings
from knowledge.store.store import KnowledgeStore
from knowledge.vector_search import VectorSearch
from knowledge.vectors import unpack_vectors
from knowledge.worker_thread import WorkerThread

T = TypeVar("T")

log = logging.getLogger(__name__)

_CANDIDATES = 50
"""Passages asked of each ranker; what both leave out cannot be found."""

_MOST_LOOKED_UP = 3
"""Words of a question whose near spellings are looked up, 3 ms for each."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates for a question, best first, and the scores that they come from.

    `question` is the text that was searched for: the person's, or with one word corrected. `context` holds the scores
    for the previous question, `clause` those for the clause that asks; None without one.
    """

    ranked: Sequence[RankedPassage]
    question: str = ""
    scores: RankerScores | None = None
    context: RankerScores | None = None
    clause: RankerScores | None = None

    @property
    def timings(self) -> Mapping[str, float]:
        """The seconds of each step of the search for the question, by name."""
        return self.scores.timings if self.scores else {}


@dataclass(frozen=True, slots=True)
class QuestionTerms:
    """A question's terms with their document frequencies. `names_unknown`: see RankerScores."""

    frequencies: dict[frozenset[str], int]
    names_unknown: bool


@dataclass(frozen=True, slots=True)
class _Matches:
    """The rankers' results for one text. `vector` is None when only full-text search is available."""

    terms: QuestionTerms
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

    async def rank_passages(self, question: str, context: str, collections: Collection[int]) -> Ranking:
        """All candidates for a question; `context` is the previous question, or empty.

        A message that no passage supports is searched again: a long one with the clause that asks something, and with
        one misspelt word as it is written in the documents.
        """
        ranking = await self._rank(question, context, "", collections)
        if not fusion.is_supported(ranking.ranked) and (clause := asking_clause(question)):
            ranking = await self._rank(question, context, clause, collections)
        if not fusion.is_supported(ranking.ranked) and (corrected := await self._correct_word(question, collections)):
            again = await self._rank(corrected, context, "", collections)
            ranking = again if fusion.is_supported(again.ranked) else ranking
        return ranking

    async def _rank(self, question: str, context: str, clause: str, collections: Collection[int]) -> Ranking:
        """The candidates for a question, its context and the clause that asks, as far as they are given."""
        given = list(dict.fromkeys(text for text in (question, context, clause) if text.strip()))
        scores = dict(zip(given, await self.score_candidates(given, collections), strict=True))
        asked, before, part = (scores.get(text) for text in (question, context, clause))
        ranked = fusion.fuse_scores(asked, before, part) if asked else []
        return Ranking(ranked, question, asked, before, part)

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
            _timed(timings, "embedding", lambda: self._embed(text) if usable else _no_vector()),
            _timed(timings, "lexical", lambda: self._match(text, collections)),
        )
        cosines, mean_cosine = dict[int, float](), 0.0
        if vector is not None:
            search = partial(self._vector_search.find_nearest, vector, sorted(usable), _CANDIDATES)
            nearest = await _timed(timings, "vector", search)
            cosines, mean_cosine = nearest.cosines, nearest.mean_cosine
        return _Matches(terms, ideal, bm25, vector, cosines, mean_cosine, timings)

    async def _match(self, text: str, collections: Collection[int]) -> tuple[QuestionTerms, dict[int, float], float]:
        terms, count = await asyncio.gather(self.look_up(text), self._store.reader.count_passages())
        # A term of most passages weighs next to nothing and costs a visit to each of them.
        rare = [term for term, n in terms.frequencies.items() if 2 * n <= count] or list(terms.frequencies)
        found = await self._store.reader.match_passages(rare, collections, _CANDIDATES)
        return terms, found, fusion.ideal_bm25(list(terms.frequencies.values()), count)

    async def look_up(self, text: str) -> QuestionTerms:
        """The terms of a question: a code or date that is nowhere comes with its parts."""
        asked = question_terms(text, await self._store.reader.document_languages(), self._stemmer)
        counts = await self._store.reader.document_frequencies([term.forms for term in asked])
        frequencies = {term.forms: n for term, n in zip(asked, counts, strict=True) if n or term.essential}
        missing = [term for term, n in zip(asked, counts, strict=True) if not n]
        parts = [part for term in missing for part in term.parts]
        if parts:
            counts = await self._store.reader.document_frequencies(parts)
            frequencies |= dict(zip(parts, counts, strict=True))
        return QuestionTerms(frequencies, names_unknown=any(term.identifies for term in missing))

    async def _correct_word(self, question: str, collections: Collection[int]) -> str:
        """The question with the first word that is nowhere replaced by a near one of the documents, or empty."""
        reader = self._store.reader
        languages = await reader.document_languages()
        terms = question_terms(question, languages, self._stemmer)
        asked = [term for term in terms if len(term.word) >= FEWEST_LETTERS]
        counts = await reader.document_frequencies([term.forms for term in asked])
        missing = [term for term, n in zip(asked, counts, strict=True) if not n]
        for term in missing[:_MOST_LOOKED_UP]:
            near = await reader.stem_frequencies(set[str]().union(*map(near_spellings, term.forms)))
            for stem in sorted(near, key=lambda stem: (-near[stem], stem)):
                written = await self._written_form(stem, term.word, collections)
                if written:
                    return re.sub(re.escape(term.word), written, visible_text(question), flags=re.IGNORECASE)
        return ""

    async def _written_form(self, stem: str, word: str, collections: Collection[int]) -> str:
        """A word near the one given in a passage of the collections with the stem; empty when there is none."""
        found = await self._store.reader.match_passages([frozenset({stem})], collections, 1)
        for passage in (await self._store.reader.get_passages(found.keys())).values():
            text = " ".join((passage.title, *passage.place.heading, passage.text, passage.document))
            return next((other for other in split_words(text) if is_near(word, other)), "")
        return ""

    async def _embed(self, text: str) -> FloatArray | None:
        try:
            return await self._query_thread.run(lambda: self._embedder.embed_question(text))
        except EmbeddingFailed as error:
            log.error("Searched for this question by words only: %s", error)
            return None

    async def _complete_scores(
        self, found: _Matches, candidates: set[int], collections: Collection[int]
    ) -> RankerScores:
        bm25 = found.bm25 | await self._store.reader.bm25_scores(
            list(found.terms.frequencies), candidates - found.bm25.keys()
        )
        usable = self.with_vectors.intersection(collections)
        cosines = found.cosines | await self._cosines(found.vector, candidates - found.cosines.keys(), usable)
        return RankerScores(
            {key: bm25[key] for key in candidates & bm25.keys()},
            found.ideal_score,
            {key: cosines[key] for key in candidates & cosines.keys()},
            found.mean_cosine,
            found.terms.names_unknown,
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


async def _timed(timings: dict[str, float], step: str, work: Callable[[], Awaitable[T]]) -> T:
    """The result of a step, whose seconds are noted. It begins here, so that a search cancelled before leaves none."""
    began = time.monotonic()
    result = await work()
    timings[step] = time.monotonic() - began
    return result


async def _no_vector() -> None:
    """In place of a question's vector, where no collection has vectors to compare it with."""

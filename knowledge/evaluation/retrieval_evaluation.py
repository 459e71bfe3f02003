"""Evaluation of search on a judged set, through the real library: every ranking's figures, and times."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import xxhash

from knowledge.evaluation.judged_set import JudgedQuestion, JudgedSet
from knowledge.evaluation.measures import RankingFigures, average_figures, measure_ranking, percentile
from knowledge.passages import Hit, ReindexProgress, ReindexReport, SearchResult

_DEPTH = 200
"""Hits asked for: the candidates of both rankers, for recall at 100 documents."""


class SearchedLibrary(Protocol):
    """The part of the library that an evaluation uses."""

    async def search(self, question: str, collections: Sequence[str], *, limit: int) -> SearchResult:
        """The passages relevant to a question."""
        ...

    async def reindex(
        self, collections: None = None, on_progress: Callable[[ReindexProgress], None] | None = None
    ) -> ReindexReport:
        """Bring the index up to date."""
        ...


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Seconds a step took for one question, by the 50th and 95th percentile of all questions."""

    p50_s: float
    p95_s: float


@dataclass(frozen=True, slots=True)
class SetEvaluation:
    """Results on one set. `rankings` and `times` are by name: `lexical`, `vector`, `fused` and, where set, `reranked`.

    `times` also has `embedding`, the question's, and `total`. `supported`: the share of questions that count as
    answerable. `indexing_s`: 0.0 when the index was there.
    """

    name: str
    documents: int
    questions: int
    rankings: Mapping[str, RankingFigures]
    times: Mapping[str, StepTimes]
    supported: float
    indexing_s: float


async def evaluate_set(
    library: SearchedLibrary,
    judged: JudgedSet,
    collection: str,
    *,
    limit: int | None = None,
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> SetEvaluation:
    """Index a set's collection, ask its first `limit` questions (all by default), and measure each ranking.

    Raises what the library raises.
    """
    began = time.monotonic()
    report = await library.reindex(on_progress=lambda told: on_progress(told.phase, told.done, told.total))
    indexing_s = time.monotonic() - began if report.added or report.changed else 0.0
    questions = judged.questions[:limit]
    figures: dict[str, list[RankingFigures]] = {}
    times: dict[str, list[float]] = {}
    supported = 0
    for number, question in enumerate(questions):
        on_progress("asking", number, len(questions))
        result = await library.search(question.text, [collection], limit=_DEPTH)
        supported += result.supported
        _note(figures, times, question, result)
    return SetEvaluation(
        judged.name,
        len(judged.documents),
        len(questions),
        {name: average_figures(each) for name, each in figures.items()},
        {step: StepTimes(percentile(each, 0.5), percentile(each, 0.95)) for step, each in times.items()},
        supported / len(questions),
        indexing_s,
    )


def write_placeholder(folder: Path, judged: JudgedSet) -> None:
    """Write the file that stands for the set's corpus in its collection's folder; it changes when the corpus does."""
    digest = xxhash.xxh3_128()
    for document in judged.documents:
        digest.update(repr((document.id, document.title, document.text)).encode())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "corpus.txt").write_text(digest.hexdigest(), encoding="utf-8")


def _note(
    figures: dict[str, list[RankingFigures]],
    times: dict[str, list[float]],
    question: JudgedQuestion,
    result: SearchResult,
) -> None:
    for name, found in rankings_of(result).items():
        figures.setdefault(name, []).append(measure_ranking(found, question.grades))
    for step, seconds in {**result.timings, "total": result.took_s}.items():
        times.setdefault(step, []).append(seconds)


def rankings_of(result: SearchResult) -> dict[str, list[str]]:
    """The documents of a search in each ranking's order, best first, each at its best passage.

    A question for which a ranker found nothing has an empty ranking there.
    """
    hits = result.hits
    rankings = {
        "lexical": _by_rank(hits, "bm25"),
        "vector": _by_rank(hits, "vector"),
        "fused": _documents(sorted(hits, key=lambda hit: -hit.score)),
    }
    if any("reranker" in hit.ranks for hit in hits):
        rankings["reranked"] = _documents(hits)
    return rankings


def _by_rank(hits: Sequence[Hit], ranker: str) -> list[str]:
    ranked = (hit for hit in hits if ranker in hit.ranks)
    return _documents(sorted(ranked, key=lambda hit: hit.ranks.get(ranker, math.inf)))


def _documents(hits: Iterable[Hit]) -> list[str]:
    return list(dict.fromkeys(hit.passage.document for hit in hits))

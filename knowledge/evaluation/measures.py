"""Measures of a ranking, as BEIR and trec_eval compute them: nDCG, recall, reciprocal rank, first hit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean


@dataclass(frozen=True, slots=True)
class RankingFigures:
    """Means over questions, each from 0 to 1."""

    ndcg_at_10: float
    recall_at_10: float
    recall_at_100: float
    mrr_at_10: float
    hit_at_1: float


def measure_ranking(found: Sequence[str], grades: Mapping[str, int]) -> RankingFigures:
    """The figures of one question, from distinct documents, best first, and the grades of the relevant ones."""
    return RankingFigures(
        ndcg_at_10=_ndcg(found[:10], grades, 10),
        recall_at_10=_recall(found[:10], grades),
        recall_at_100=_recall(found[:100], grades),
        mrr_at_10=next((1 / place for place, name in enumerate(found[:10], start=1) if name in grades), 0.0),
        hit_at_1=float(bool(found) and found[0] in grades),
    )


def average_figures(figures: Sequence[RankingFigures]) -> RankingFigures:
    """The means; `figures` must not be empty."""
    return RankingFigures(*(fmean(getattr(each, field.name) for each in figures) for field in fields(RankingFigures)))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the values lies, by nearest rank; `values` must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _ndcg(found: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """nDCG with the grade itself as gain, as trec_eval has it."""
    ideal = sorted(grades.values(), reverse=True)[:depth]
    return _dcg([grades.get(name, 0) for name in found]) / _dcg(ideal)


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, start=1))


def _recall(found: Sequence[str], grades: Mapping[str, int]) -> float:
    return len(grades.keys() & set(found)) / len(grades)

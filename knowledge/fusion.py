"""Fusion of both rankers: the order of passages, and whether the best one supports an answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

VECTOR_WEIGHT = 0.7
"""Measured in docs/decisions/0003-fusion.md: from 0.5 to 1.0 the fused ranking beats both rankers on three sets."""

CONTEXT_WEIGHT = 0.3
"""Weight of the previous question: a follow-up gains 0.06 to 0.09 nDCG, a change of topic costs 0.01."""
UNKNOWN_CODE_WEIGHT = 0.25
"""Weight of everything found when the question's part number or address is nowhere: passages on others resemble it."""
SUPPORT_THRESHOLD = 0.45
"""Fused score below which no passage is relevant to the question; measured on the same page."""


@dataclass(frozen=True, slots=True)
class RankerScores:
    """Both rankers' scores of the candidate passages, by id.

    `bm25`: positive scores of passages that share a word with the question. `ideal_score`: the score of a passage of
    average length with each content word of the question once. `cosines`: of all candidates, empty without vectors.
    `mean_cosine`: the mean cosine between the question and all passages searched. `names_unknown`: the question names a
    part or an address that is nowhere in the index. `timings`: the seconds that each step took, by name.
    """

    bm25: Mapping[int, float]
    ideal_score: float
    cosines: Mapping[int, float] = field(default_factory=dict)
    mean_cosine: float = 0.0
    names_unknown: bool = False
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        """What the scores count: little where the question's part number or address is nowhere."""
        return UNKNOWN_CODE_WEIGHT if self.names_unknown else 1.0


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """A passage's fused score and its place in each ranker's own order, from 1."""

    passage_id: int
    score: float
    ranks: Mapping[str, int]


def ideal_bm25(frequencies: Sequence[int], passages: int) -> float:
    """The sum of the terms' inverse document frequencies, as FTS5 computes them (its floor of 1e-6 included).

    A word without occurrences counts like one with a single occurrence: in a small library it would otherwise outweigh
    all words found.
    """
    seen = (max(n, 1) for n in frequencies)
    return sum(max(math.log((max(passages, n) - n + 0.5) / (n + 0.5)), 1e-6) for n in seen)


def fuse_scores(
    question: RankerScores, context: RankerScores | None = None, clause: RankerScores | None = None
) -> list[RankedPassage]:
    """All candidates, best first.

    `context` holds the scores for the previous question, `clause` those for the clause that asks in a long message: a
    passage counts as relevant to the message or to the clause, whichever is more.

    Both parts of a score are absolute: BM25 as a share of the ideal, and the cosine as a share of the way from the
    background (0) to identity (1). A ranker that cannot discriminate therefore has little effect: to an English
    embedder all French passages are about equally near, and one common word among rare ones is a small share of the
    ideal.
    """
    scores = {key: fused_score(question, key) for key in _candidates(question)}
    if clause is not None:
        for key in _candidates(clause):
            scores[key] = max(scores.get(key, 0.0), fused_score(clause, key))
    if context is not None:
        for key in _candidates(context):
            scores[key] = scores.get(key, 0.0) + CONTEXT_WEIGHT * fused_score(context, key)
    ranks = {"bm25": _ranks(question.bm25), "vector": _ranks(question.cosines)}
    ordered = sorted(scores, key=lambda key: (-scores[key], key))
    return [
        RankedPassage(key, scores[key], {name: of[key] for name, of in ranks.items() if key in of}) for key in ordered
    ]


def is_supported(ranked: Sequence[RankedPassage]) -> bool:
    """Whether the best passage is relevant enough to support an answer."""
    return bool(ranked) and ranked[0].score >= SUPPORT_THRESHOLD


def _candidates(evidence: RankerScores) -> set[int]:
    return set(evidence.bm25) | set(evidence.cosines)


def fused_score(evidence: RankerScores, key: int) -> float:
    """Both parts of a score together."""
    score = lexical_score(evidence, key) + VECTOR_WEIGHT * vector_score(evidence, key)
    return score * evidence.weight


def lexical_score(evidence: RankerScores, key: int) -> float:
    """The words' part of a fused score: BM25 as a share of the ideal."""
    return evidence.bm25.get(key, 0.0) / evidence.ideal_score if evidence.ideal_score > 0 else 0.0


def vector_score(evidence: RankerScores, key: int) -> float:
    """The meaning's part of a fused score before its weight: 0 at the background, 1 for an identical text."""
    cosine = evidence.cosines.get(key, evidence.mean_cosine)
    return max(0.0, (cosine - evidence.mean_cosine) / max(1e-6, 1.0 - evidence.mean_cosine))


def _ranks(scores: Mapping[int, float]) -> dict[int, int]:
    ordered = sorted(scores, key=lambda key: (-scores[key], key))
    return {key: place for place, key in enumerate(ordered, start=1)}

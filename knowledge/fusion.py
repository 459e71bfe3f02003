"""Decides, from what both rankers found, which passages come first and whether they bear on the question at all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

VECTOR_WEIGHT = 0.7
"""Measured in docs/decisions/0003-fusion.md: from 0.5 to 1.0 the fused ranking beats both rankers on three sets."""

CONTEXT_WEIGHT = 0.3
"""How much what was asked before counts: a follow-up gains 0.06 to 0.09 nDCG, a change of topic costs 0.01."""
SUPPORT = 0.45
"""Fused score below which nothing found bears on the question; measured in the same page."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rankers say of each candidate passage, by its id.

    `bm25`: positive scores of passages that share a word with the question. `ideal`: what a passage of average length
    with each content word of the question once would score. `cosines`: of all candidates, empty without vectors.
    `background`: the mean cosine between the question and all passages searched.
    """

    bm25: Mapping[int, float]
    ideal: float
    cosines: Mapping[int, float] = field(default_factory=dict)
    background: float = 0.0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage's fused score and its place in each ranker's own order, from 1."""

    passage_id: int
    score: float
    ranks: Mapping[str, int]


def ideal_bm25(frequencies: Sequence[int], passages: int) -> float:
    """The sum of the terms' inverse document frequencies, as FTS5 reckons them (its floor of 1e-6 included).

    A word that occurs nowhere counts like the rarest one that does: in a small library it would otherwise outweigh
    all the words that were found.
    """
    seen = (max(n, 1) for n in frequencies)
    return sum(max(math.log((max(passages, n) - n + 0.5) / (n + 0.5)), 1e-6) for n in seen)


def rank(question: Evidence, context: Evidence | None = None) -> list[Ranked]:
    """All candidates, best first; `context` is the evidence for what was asked before.

    Both parts of a score are absolute: BM25 as a share of the ideal, and the cosine as a share of the way from the
    background (0) to identity (1). A ranker that sees no difference therefore moves little: an English embedder finds
    all French passages about equally near, and one common word among many rare ones is a small share of the ideal.
    """
    scores = {key: _score(question, key) for key in _candidates(question)}
    if context is not None:
        for key in _candidates(context):
            scores[key] = scores.get(key, 0.0) + CONTEXT_WEIGHT * _score(context, key)
    places = {"bm25": _places(question.bm25), "vector": _places(question.cosines)}
    ordered = sorted(scores, key=lambda key: (-scores[key], key))
    return [Ranked(key, scores[key], {name: of[key] for name, of in places.items() if key in of}) for key in ordered]


def supports(ranked: Sequence[Ranked]) -> bool:
    """Whether the best passage bears on the question enough to answer from."""
    return bool(ranked) and ranked[0].score >= SUPPORT


def _candidates(evidence: Evidence) -> set[int]:
    return set(evidence.bm25) | set(evidence.cosines)


def _score(evidence: Evidence, key: int) -> float:
    return _words(evidence, key) + VECTOR_WEIGHT * _nearness(evidence, key)


def _words(evidence: Evidence, key: int) -> float:
    return evidence.bm25.get(key, 0.0) / evidence.ideal if evidence.ideal > 0 else 0.0


def _nearness(evidence: Evidence, key: int) -> float:
    cosine = evidence.cosines.get(key, evidence.background)
    return max(0.0, (cosine - evidence.background) / max(1e-6, 1.0 - evidence.background))


def _places(scores: Mapping[int, float]) -> dict[int, int]:
    ordered = sorted(scores, key=lambda key: (-scores[key], key))
    return {key: place for place, key in enumerate(ordered, start=1)}

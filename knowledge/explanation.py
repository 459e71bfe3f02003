"""Explanation of a search: each part of a hit's score, down to the words of the question."""

from collections.abc import Collection, Mapping, Sequence

from knowledge.fusion import (
    CONTEXT_WEIGHT,
    SUPPORT_THRESHOLD,
    VECTOR_WEIGHT,
    RankerScores,
    ideal_bm25,
    lexical_score,
    vector_score,
)
from knowledge.lexical import WordStemmer, split_words
from knowledge.passages import HitExplanation, WordShare
from knowledge.store.index_reader import IndexReader


class Explainer:
    """Explains the scores of passages. Its stemmer belongs to the event loop's thread."""

    def __init__(self, reader: IndexReader) -> None:
        self._reader = reader
        self._stemmer = WordStemmer()

    async def explain_hits(
        self, question: str, ids: Collection[int], scores: Sequence[RankerScores], reranked: Mapping[int, float]
    ) -> dict[int, HitExplanation]:
        """The parts of the scores of the passages. `scores` are the question's, then those of its context if any."""
        words = await self._word_shares(question, ids, scores[0].ideal_score)
        return {
            key: HitExplanation(
                lexical=lexical_score(scores[0], key),
                vector=VECTOR_WEIGHT * vector_score(scores[0], key),
                context=sum(CONTEXT_WEIGHT * _fused(other, key) for other in scores[1:]),
                threshold=SUPPORT_THRESHOLD,
                words=tuple(words[key]),
                cosine=scores[0].cosines.get(key),
                background=scores[0].mean_cosine if scores[0].cosines else None,
                reranker=reranked.get(key),
            )
            for key in ids
        }

    async def _word_shares(self, question: str, ids: Collection[int], ideal: float) -> dict[int, list[WordShare]]:
        """For each passage the question's words, those that weigh most in the index first.

        BM25 is a sum over words, so the score for one word alone is that word's part.
        """
        languages = await self._reader.document_languages()
        terms = self._stemmer.query_terms(question, languages)
        frequencies = await self._reader.document_frequencies(terms)
        count = await self._reader.count_passages()
        found = [(n, await self._reader.bm25_scores([term], ids)) for term, n in zip(terms, frequencies, strict=True)]
        shares: dict[int, list[WordShare]] = {key: [] for key in ids}
        for term, (frequency, by_id) in zip(terms, found, strict=True):
            most = ideal_bm25([frequency], count) / ideal if ideal else 0.0
            spelling = self._spelling(term, question, languages)
            for key in ids:
                share = by_id.get(key, 0.0) / ideal if ideal else 0.0
                shares[key].append(WordShare(spelling, share, most, frequency))
        return {key: sorted(words, key=lambda word: -word.most) for key, words in shares.items()}

    def _spelling(self, term: frozenset[str], question: str, languages: Collection[str]) -> str:
        """The question's own word for a term; its shortest stem where it has none."""
        words = split_words(question)
        return next((word for word in words if term in self._stemmer.query_terms(word, languages)), min(term, key=len))


def _fused(scores: RankerScores, key: int) -> float:
    return lexical_score(scores, key) + VECTOR_WEIGHT * vector_score(scores, key)

"""Explanation of a search: each part of a hit's score, down to the words of the question."""

from collections.abc import Collection, Mapping

from knowledge.fusion import (
    CONTEXT_WEIGHT,
    SUPPORT_THRESHOLD,
    VECTOR_WEIGHT,
    RankerScores,
    fused_score,
    ideal_bm25,
    lexical_score,
    vector_score,
)
from knowledge.lexical import WordStemmer
from knowledge.passages import HitExplanation, WordShare
from knowledge.query_terms import question_terms
from knowledge.searching import Ranking, Searcher
from knowledge.store.index_reader import IndexReader


class Explainer:
    """Explains the scores of passages. Its stemmer belongs to the event loop's thread."""

    def __init__(self, reader: IndexReader, searcher: Searcher) -> None:
        self._reader = reader
        self._searcher = searcher
        self._stemmer = WordStemmer()

    async def explain_hits(
        self, ranking: Ranking, ids: Collection[int], reranked: Mapping[int, float]
    ) -> dict[int, HitExplanation]:
        """The parts of the scores of the passages. Where the clause that asks counts more than the whole message, they
        are the clause's.
        """
        question = ranking.scores
        if question is None:
            return {}
        words = await self._word_shares(ranking.question, ids, question)
        return {key: _explain(ranking, key, question, words[key], reranked.get(key)) for key in ids}

    async def _word_shares(
        self, question: str, ids: Collection[int], scores: RankerScores
    ) -> dict[int, list[WordShare]]:
        """For each passage the question's words, those that weigh most in the index first.

        BM25 is a sum over words, so the score for one word alone is that word's part.
        """
        looked_up, count = await self._searcher.look_up(question), await self._reader.count_passages()
        asked = question_terms(question, await self._reader.document_languages(), self._stemmer)
        spellings = {term.forms: term.word for term in asked if term.word}
        share_of_ideal = scores.weight / scores.ideal_score if scores.ideal_score else 0.0
        shares: dict[int, list[WordShare]] = {key: [] for key in ids}
        for term, frequency in looked_up.frequencies.items():
            by_id = await self._reader.bm25_scores([term], ids)
            most = ideal_bm25([frequency], count) * share_of_ideal
            spelling = spellings.get(term) or min(term, key=len)
            for key in ids:
                shares[key].append(WordShare(spelling, by_id.get(key, 0.0) * share_of_ideal, most, frequency))
        return {key: sorted(words, key=lambda word: -word.most) for key, words in shares.items()}


def _explain(
    ranking: Ranking, key: int, question: RankerScores, words: list[WordShare], reranked: float | None
) -> HitExplanation:
    clause = ranking.clause
    own = clause if clause is not None and fused_score(clause, key) > fused_score(question, key) else question
    return HitExplanation(
        lexical=lexical_score(own, key) * own.weight,
        vector=VECTOR_WEIGHT * vector_score(own, key) * own.weight,
        context=CONTEXT_WEIGHT * fused_score(ranking.context, key) if ranking.context is not None else 0.0,
        threshold=SUPPORT_THRESHOLD,
        words=tuple(words),
        cosine=own.cosines.get(key),
        background=own.mean_cosine if own.cosines else None,
        reranker=reranked,
    )

"""The evaluation of search on a judged set, through the real library with the hashing embedder."""

from pathlib import Path

import pytest

from knowledge.embedding import HashingEmbedder
from knowledge.evaluation.judged_set import JudgedDocument, JudgedQuestion, JudgedSet
from knowledge.evaluation.retrieval_evaluation import SetEvaluation, evaluate_set, rankings_of, write_placeholder
from knowledge.evaluation.set_reader import SetReader
from knowledge.library import Library
from knowledge.passages import Hit, Passage, PassageLocation, SearchResult
from knowledge.reranking.order import Reranking
from knowledge.reranking.settings import RerankingSettings
from knowledge.settings import CollectionSettings, KnowledgeSettings
from tests.fakes.rerankers import WordReranker

LONG = "A sentence about nothing in particular that fills the page. " * 40
JUDGED = JudgedSet(
    "home",
    (
        JudgedDocument("drive", "The drive", f"{LONG}\n\nThe backup drive lies on shelf Quince.\n\n{LONG}"),
        JudgedDocument("printer", "The printer", "The printer in the study takes A4 paper."),
        JudgedDocument("bins", "", "Bins are collected on Tuesday morning."),
    ),
    (
        JudgedQuestion("q1", "On which shelf is the backup drive?", {"drive": 1}),
        JudgedQuestion("q2", "When are the bins collected?", {"bins": 1}),
        JudgedQuestion("q3", "Which paper does the printer take?", {"printer": 1}),
    ),
)


async def evaluate(folder: Path, *, reranked: bool = False, limit: int | None = None) -> SetEvaluation:
    write_placeholder(folder / "documents", JUDGED)
    settings = KnowledgeSettings(collections={"set": CollectionSettings(folder=folder / "documents")})
    reader = SetReader(JUDGED.documents, settings.reading.passage_characters)
    reranking = Reranking(WordReranker(), RerankingSettings(kind="fastembed", time_limit_s=15)) if reranked else None
    library = await Library.open(settings, HashingEmbedder(64), reader, folder, reranking=reranking)
    try:
        return await evaluate_set(library, JUDGED, "set", limit=limit)
    finally:
        await library.close()


async def test_every_ranking_is_measured(tmp_path: Path) -> None:
    found = await evaluate(tmp_path)
    assert (found.name, found.documents, found.questions) == ("home", 3, 3)
    assert set(found.rankings) == {"lexical", "vector", "fused"}
    assert found.rankings["lexical"].ndcg_at_10 == found.rankings["fused"].hit_at_1 == 1.0
    assert set(found.times) == {"lexical", "vector", "embedding", "total"}
    assert all(0 < times.p50_s <= times.p95_s for times in found.times.values())
    assert found.indexing_s > 0


async def test_a_second_run_uses_the_index_of_the_first(tmp_path: Path) -> None:
    first = await evaluate(tmp_path)
    second = await evaluate(tmp_path)
    assert second.indexing_s == 0.0
    assert second.rankings == first.rankings


async def test_a_reranker_is_measured_beside_the_fused_order(tmp_path: Path) -> None:
    found = await evaluate(tmp_path, reranked=True)
    assert set(found.rankings) == {"lexical", "vector", "fused", "reranked"}
    assert "reranking" in found.times


async def test_only_the_first_questions_are_asked(tmp_path: Path) -> None:
    assert (await evaluate(tmp_path, limit=2)).questions == 2


def hit(document: str, score: float, **ranks: int) -> Hit:
    return Hit(Passage(0, "set", document, "", PassageLocation(), ""), score, ranks)


@pytest.mark.parametrize("reranked", [False, True])
def test_a_document_counts_once_at_its_best_passage(reranked: bool) -> None:
    ranks = [{"reranker": 1}, {"reranker": 2}, {"reranker": 3}] if reranked else [{}, {}, {}]
    hits = (
        hit("a", 0.1, bm25=2, **ranks[0]),
        hit("b", 0.9, vector=1, **ranks[1]),
        hit("a", 0.5, bm25=1, vector=2, **ranks[2]),
    )
    found = rankings_of(SearchResult(hits, True, 0.0))
    assert found["lexical"] == ["a"]
    assert found["vector"] == ["b", "a"]
    assert found["fused"] == ["b", "a"]
    assert found.get("reranked") == (["a", "b"] if reranked else None)

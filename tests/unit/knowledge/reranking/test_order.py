"""The order of candidates: the reranker's within its time limit, otherwise the fused one."""

import pytest

from knowledge.fusion import RankedPassage
from knowledge.reranking import order
from knowledge.reranking.order import Reranking
from knowledge.reranking.reranker import Reranker
from knowledge.reranking.settings import RerankingSettings
from tests.fakes.rerankers import BrokenReranker, SilentReranker, WordReranker

RANKED = [RankedPassage(10, 0.9, {"bm25": 1}), RankedPassage(20, 0.8, {"bm25": 2}), RankedPassage(30, 0.7, {"bm25": 3})]
TEXTS = ["a printer", "a shelf with a drive"]


def reranking(reranker: Reranker, time_limit_s: float = 15.0) -> Reranking:
    return Reranking(reranker, RerankingSettings(kind="fastembed", time_limit_s=time_limit_s))


async def test_the_first_candidates_get_the_rerankers_order_and_the_others_stay_below() -> None:
    found = await reranking(WordReranker()).reorder("shelf drive", RANKED, TEXTS)
    assert [item.passage_id for item in found.ranked] == [20, 10, 30]
    assert [dict(item.ranks) for item in found.ranked] == [
        {"bm25": 2, "reranker": 1},
        {"bm25": 1, "reranker": 2},
        {"bm25": 3},
    ]
    assert [item.score for item in found.ranked] == [0.8, 0.9, 0.7]
    assert found.scores == {10: 0.0, 20: 2.0}


async def test_equal_scores_keep_the_fused_order() -> None:
    found = await reranking(WordReranker()).reorder("nothing", RANKED, TEXTS)
    assert [item.passage_id for item in found.ranked] == [10, 20, 30]


async def test_a_late_reranker_leaves_the_fused_order_and_is_cancelled() -> None:
    silent = SilentReranker()
    found = await reranking(silent, time_limit_s=0.01).reorder("shelf", RANKED, TEXTS)
    assert found.ranked == tuple(RANKED)
    assert found.scores == {}
    assert silent.cancelled == 1


async def test_a_single_candidate_is_not_reranked() -> None:
    words = WordReranker()
    await reranking(words).reorder("shelf", RANKED[:1], TEXTS[:1])
    assert words.asked == []


async def test_after_three_failures_no_question_waits_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = BrokenReranker()
    failing = reranking(broken)
    for _ in range(5):
        assert (await failing.reorder("shelf", RANKED, TEXTS)).ranked == tuple(RANKED)
    assert len(broken.asked) == 3
    failing._paused_until -= order._PAUSE_S
    await failing.reorder("shelf", RANKED, TEXTS)
    assert len(broken.asked) == 4


async def test_a_reranker_that_cannot_be_loaded_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    await reranking(BrokenReranker()).prepare()
    assert "The model's file is missing." in caplog.text


async def test_the_log_names_the_way_out_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    await reranking(SilentReranker(), time_limit_s=0.01).reorder("SECRETQUESTION", RANKED, ["SECRETTEXT", "x"])
    assert "time_limit_s" in caplog.text
    assert "SECRET" not in caplog.text

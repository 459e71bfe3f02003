"""The measures: values computed by hand, as trec_eval gives them."""

import math

import pytest

from knowledge.evaluation.measures import RankingFigures, average_figures, measure_ranking, percentile


def test_a_perfect_ranking_has_ones() -> None:
    assert measure_ranking(["a", "b", "c"], {"a": 1, "b": 1}) == RankingFigures(1.0, 1.0, 1.0, 1.0, 1.0)


def test_an_empty_ranking_has_zeros() -> None:
    assert measure_ranking([], {"a": 1}) == RankingFigures(0.0, 0.0, 0.0, 0.0, 0.0)


def test_binary_judgments() -> None:
    figures = measure_ranking(["x", "a", "y", "b"], {"a": 1, "b": 1, "c": 1})
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert figures.ndcg_at_10 == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert figures.recall_at_10 == figures.recall_at_100 == pytest.approx(2 / 3)
    assert (figures.mrr_at_10, figures.hit_at_1) == (0.5, 0.0)


def test_grades_are_gains() -> None:
    figures = measure_ranking(["b", "a"], {"a": 2, "b": 1})
    assert figures.ndcg_at_10 == pytest.approx((1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3)))


def test_depths() -> None:
    found = [f"x{number}" for number in range(10)] + ["a"]
    figures = measure_ranking(found, {"a": 1})
    assert (figures.ndcg_at_10, figures.recall_at_10, figures.recall_at_100, figures.mrr_at_10) == (0.0, 0.0, 1.0, 0.0)
    assert measure_ranking(["x"] * 100 + ["a"], {"a": 1}).recall_at_100 == 0.0


def test_averages_are_taken_by_question() -> None:
    mean = average_figures([RankingFigures(1.0, 1.0, 1.0, 1.0, 1.0), RankingFigures(0.0, 0.5, 0.5, 0.0, 0.0)])
    assert mean == RankingFigures(0.5, 0.75, 0.75, 0.5, 0.5)


def test_percentiles_by_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.95), percentile([7.0], 0.95)) == (50.0, 95.0, 7.0)

import pytest

from knowledge.fusion import SUPPORT_THRESHOLD, VECTOR_WEIGHT, RankerScores, fuse_scores, ideal_bm25, is_supported


def order(evidence: RankerScores) -> list[int]:
    return [item.passage_id for item in fuse_scores(evidence)]


def test_nothing_found_ranks_nothing_and_supports_nothing() -> None:
    assert fuse_scores(RankerScores({}, 0.0)) == []
    assert not is_supported([])


def test_words_alone_decide_when_there_are_no_vectors() -> None:
    assert order(RankerScores({1: 2.0, 2: 5.0}, ideal_score=6.0)) == [2, 1]


def test_vectors_alone_decide_when_no_word_is_found() -> None:
    assert order(RankerScores({}, ideal_score=6.0, cosines={1: 0.2, 2: 0.7})) == [2, 1]


def test_a_passage_both_rankers_find_beats_one_that_only_one_finds() -> None:
    assert order(RankerScores({1: 5.0, 2: 4.8}, 6.0, {2: 0.6, 3: 0.6, 1: 0.1}, mean_cosine=0.1))[0] == 2


def test_an_embedder_that_finds_everything_equally_near_does_not_drown_the_words() -> None:
    """A French question to an English embedder: the right passage is last among near-equal cosines."""
    cosines = {key: 0.50 - key / 1000 for key in range(50)}
    assert order(RankerScores({49: 4.0, 3: 1.5}, 6.0, cosines, mean_cosine=0.47))[0] == 49


def test_one_common_word_does_not_drown_a_passage_that_means_the_same() -> None:
    """Of many words asked only a common one is found: BM25's first is far below the ideal, so nearness decides."""
    assert order(RankerScores({1: 0.9}, 20.0, {1: 0.15, 2: 0.7}, mean_cosine=0.1))[0] == 2


def test_the_score_is_the_share_of_the_ideal_plus_the_weighted_way_from_the_background() -> None:
    (best,) = fuse_scores(RankerScores({7: 3.0}, 6.0, {7: 0.6}, mean_cosine=0.2))
    assert best.score == pytest.approx(3.0 / 6.0 + VECTOR_WEIGHT * (0.6 - 0.2) / (1 - 0.2))


def test_a_passage_farther_than_the_background_loses_nothing_by_it() -> None:
    (best,) = fuse_scores(RankerScores({7: 3.0}, 6.0, {7: 0.1}, mean_cosine=0.2))
    assert best.score == pytest.approx(0.5)


def test_each_ranker_says_where_it_put_a_passage() -> None:
    ranked = fuse_scores(RankerScores({1: 5.0, 2: 4.0}, 6.0, {2: 0.9, 3: 0.8}, mean_cosine=0.0))
    assert {item.passage_id: item.ranks for item in ranked} == {
        1: {"bm25": 1},
        2: {"bm25": 2, "vector": 1},
        3: {"vector": 2},
    }


def test_equal_scores_keep_a_stable_order() -> None:
    assert order(RankerScores({3: 1.0, 1: 1.0, 2: 1.0}, 6.0)) == [1, 2, 3]


def test_rare_words_weigh_more_in_the_ideal_and_unknown_ones_no_more_than_the_rarest() -> None:
    assert ideal_bm25([2], 1000) > ideal_bm25([200], 1000) > ideal_bm25([900], 1000) > 0
    assert ideal_bm25([0], 1000) == ideal_bm25([1], 1000)


def test_support_is_judged_by_the_best_passage() -> None:
    assert is_supported(fuse_scores(RankerScores({1: SUPPORT_THRESHOLD * 6.0 + 0.01, 2: 0.1}, 6.0)))
    assert not is_supported(fuse_scores(RankerScores({1: SUPPORT_THRESHOLD * 6.0 - 0.01, 2: 0.1}, 6.0)))


def test_what_was_asked_before_decides_between_passages_the_question_does_not_tell_apart() -> None:
    question = RankerScores({1: 2.0, 2: 2.0}, 8.0)
    assert next(item.passage_id for item in fuse_scores(question, RankerScores({2: 6.0, 3: 6.0}, 8.0))) == 2


def test_what_was_asked_before_does_not_outweigh_a_clear_answer() -> None:
    question = RankerScores({1: 7.0}, 8.0, {1: 0.6}, mean_cosine=0.1)
    before = RankerScores({2: 12.0}, 8.0, {2: 0.8}, mean_cosine=0.1)
    ranked = fuse_scores(question, before)
    assert [item.passage_id for item in ranked] == [1, 2]
    assert [dict(item.ranks) for item in ranked] == [{"bm25": 1, "vector": 1}, {}]

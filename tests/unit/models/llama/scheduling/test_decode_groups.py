from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.llama.decoding.draft_length import Drafter
from models.llama.scheduling.decode_groups import Candidate, DecodeGroup, GroupLimits, plan_groups

_EIGHT = GroupLimits(replies=8, drafted_alone=8, drafted_together=8, tokens=18)
_ALONE = GroupLimits(replies=8, drafted_alone=6, drafted_together=0, tokens=18)

# Seconds of a step by number of tokens: the kernel for Q4_1 of a processor with AVX2, K-quants in tiles of four, a GPU.
_AVX2 = {1: 20, 2: 53, 3: 64, 4: 60, 5: 70, 6: 75, 7: 80, 8: 82}
_TILES = {1: 10, 2: 18.6, 3: 26, 4: 21, 5: 32, 6: 39, 7: 47, 8: 43}
_GPU = {count: 10 + count / 10 for count in range(1, 19)}


def _running(*sequences: int, drafts: dict[int, tuple[int, float]] | None = None) -> list[Candidate]:
    return [Candidate(sequence, Drafter(*(drafts or {}).get(sequence, (0, 0.0)))) for sequence in sequences]


def _sizes(groups: tuple[DecodeGroup, ...]) -> list[int]:
    return [group.end - group.first for group in groups]


@pytest.mark.parametrize(
    ("steps", "sequences", "sizes"),
    [
        (_AVX2, (0,), [1]),
        (_AVX2, (0, 1), [1, 1]),
        (_AVX2, (0, 1, 2), [1, 1, 1]),
        (_AVX2, (0, 1, 2, 3), [4]),
        (_AVX2, tuple(range(8)), [8]),
        (_TILES, (0, 1), [2]),
        (_TILES, (0, 1, 2), [3]),
        (_TILES, tuple(range(5)), [1, 4]),
        (_TILES, tuple(range(8)), [4, 4]),
        (_GPU, tuple(range(8)), [8]),
        # llama.cpp computes only adjacent sequences together.
        (_GPU, (0, 1, 3), [2, 1]),
        (_GPU, (1, 3, 5), [1, 1, 1]),
        (_GPU, (0, 2, 3, 4, 7), [1, 3, 1]),
    ],
)
def test_replies_are_grouped_so_that_a_token_for_each_takes_the_least_time(
    steps: dict[int, float], sequences: tuple[int, ...], sizes: list[int]
) -> None:
    groups = plan_groups(_running(*sequences), lambda replies, tokens: steps[replies * tokens], _EIGHT)
    assert sorted(_sizes(groups)) == sorted(sizes)
    assert groups[0].first == 0
    assert all(one.end == other.first for one, other in pairwise(groups))
    assert groups[-1].end == len(sequences)


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        (GroupLimits(1, 0, 0, 18), [1, 1, 1, 1]),
        (GroupLimits(3, 0, 0, 18), [1, 3]),
        (GroupLimits(8, 0, 0, 2), [2, 2]),
    ],
)
def test_no_more_replies_are_computed_together_than_allowed(limits: GroupLimits, sizes: list[int]) -> None:
    groups = plan_groups(_running(0, 1, 2, 3), lambda replies, tokens: 1.0, limits)
    assert sorted(_sizes(groups)) == sizes


@pytest.mark.parametrize(
    ("limits", "drafts", "groups"),
    [
        # A quotation that goes on: three drafted tokens fill a tile of four.
        (_EIGHT, {0: (8, 0.95)}, (DecodeGroup(0, 1, 3),)),
        (_EIGHT, {0: (2, 0.95)}, (DecodeGroup(0, 1, 2),)),
        (_EIGHT, {0: (8, 0.1)}, (DecodeGroup(0, 1, 0),)),
        (_EIGHT, {}, (DecodeGroup(0, 1, 0),)),
        (GroupLimits(8, 2, 0, 18), {0: (8, 0.99)}, (DecodeGroup(0, 1, 2),)),
    ],
)
def test_a_reply_alone_drafts_what_brings_the_most_tokens_a_second(
    limits: GroupLimits, drafts: dict[int, tuple[int, float]], groups: tuple[DecodeGroup, ...]
) -> None:
    steps = {**_TILES, 9: 45.0}
    planned = plan_groups(_running(0, drafts=drafts), lambda replies, tokens: steps[replies * tokens], limits)
    assert planned == groups


def test_replies_together_draft_where_it_pays_and_is_allowed() -> None:
    both = _running(0, 1, drafts={0: (8, 0.95), 1: (5, 0.95)})
    assert plan_groups(both, lambda replies, tokens: _GPU[replies * tokens], _EIGHT) == (DecodeGroup(0, 2, 5),)
    assert plan_groups(both, lambda replies, tokens: _GPU[replies * tokens], _ALONE) == (
        DecodeGroup(0, 1, 6),
        DecodeGroup(1, 2, 5),
    )


def test_a_reply_that_quotes_does_not_wait_for_one_that_does_not() -> None:
    mixed = _running(0, 1, drafts={0: (8, 0.98)})
    planned = plan_groups(mixed, lambda replies, tokens: _GPU[replies * tokens], _EIGHT)
    assert planned == (DecodeGroup(0, 1, 8), DecodeGroup(1, 2, 0))


@given(st.lists(st.integers(1, 1000), min_size=8, max_size=8), st.sets(st.integers(0, 7), min_size=1))
def test_no_grouping_is_slower_than_one_after_the_other(times: list[int], sequences: set[int]) -> None:
    replies = _running(*sorted(sequences))
    groups = plan_groups(replies, lambda replies, tokens: times[replies * tokens - 1], _EIGHT)
    assert sum(times[size - 1] for size in _sizes(groups)) <= len(sequences) * times[0]

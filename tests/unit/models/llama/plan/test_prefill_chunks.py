from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.llama.plan.prefill_chunks import (
    MIN_CHUNK_TOKENS,
    PrefillPlan,
    cpu_prefill_plan,
    even_chunk_end,
    iter_chunks,
)

_LENGTHS = st.integers(1, 3000)


@given(_LENGTHS, st.data(), st.integers(1, 60), st.booleans())
def test_chunks_cover_the_rest_of_the_prompt_in_bounds(
    length: int, data: st.DataObject, first: int, exact: bool
) -> None:
    start = data.draw(st.integers(0, length - 1))
    stops = data.draw(st.lists(st.integers(0, length), max_size=3))
    size = first * MIN_CHUNK_TOKENS
    chunks = list(iter_chunks(start, length, stops, PrefillPlan(size, 1000.0).chunk_ends(length), exact))
    assert chunks[0][0] == start
    assert chunks[-1][1] == length
    assert all(one[1] == other[0] for one, other in pairwise(chunks))
    assert all(0 < end - begin < size + 2 * MIN_CHUNK_TOKENS for begin, end in chunks)
    if exact:
        assert {stop for stop in stops if start < stop < length} <= {end for _, end in chunks}
    elif length - start >= MIN_CHUNK_TOKENS:
        assert all(end - begin >= MIN_CHUNK_TOKENS for begin, end in chunks)


@given(_LENGTHS, st.data(), st.integers(1, 20))
def test_a_prompt_taken_up_later_is_cut_at_the_same_places(length: int, data: st.DataObject, first: int) -> None:
    ends = PrefillPlan(first * MIN_CHUNK_TOKENS, 500.0).chunk_ends(length)
    stops = (data.draw(st.integers(0, length)), data.draw(st.integers(0, length)))
    whole = list(iter_chunks(0, length, stops, ends))
    resumed_at = data.draw(st.sampled_from(whole))[1]
    assert list(iter_chunks(resumed_at, length, stops, ends)) == [chunk for chunk in whole if chunk[0] >= resumed_at]


def test_chunks_end_at_the_stops_that_leave_enough_on_both_sides() -> None:
    ends = PrefillPlan(64, float("inf")).chunk_ends(200)
    assert list(iter_chunks(0, 200, (100, 195), ends)) == [(0, 64), (64, 100), (100, 128), (128, 192), (192, 200)]


def test_chunks_shrink_where_attention_costs_more() -> None:
    ends = PrefillPlan(64, 1000.0).chunk_ends(4000)
    sizes = [other - one for one, other in pairwise([0, *ends])]
    assert sizes[0] == 64
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == MIN_CHUNK_TOKENS


def test_a_token_weighs_more_the_more_stands_before_it() -> None:
    plan = PrefillPlan(64, 1000.0)
    assert plan.cost(0, 10) == pytest.approx(10, rel=0.01)
    assert plan.cost(1000, 1010) == pytest.approx(20, rel=0.01)
    assert plan.cost(10, 10) == 0


def test_a_larger_model_is_read_in_smaller_chunks() -> None:
    small = cpu_prefill_plan(0.25, 2, 135_000_000, 30 * 576, 240)
    large = cpu_prefill_plan(0.25, 8, 8_000_000_000, 36 * 4096, 240)
    assert 16 <= small.first_chunk_tokens <= 64
    assert large.first_chunk_tokens == MIN_CHUNK_TOKENS


@given(_LENGTHS, st.data(), st.integers(MIN_CHUNK_TOKENS, 300))
def test_a_chunk_that_may_end_anywhere_ends_at_the_stops_and_is_no_longer_than_allowed(
    length: int, data: st.DataObject, max_tokens: int
) -> None:
    start = data.draw(st.integers(0, length - 1))
    stops = data.draw(st.lists(st.integers(0, length), max_size=3))
    end = even_chunk_end(start, length, stops, max_tokens)
    next_stop = min((stop for stop in [*stops, length] if stop > start), default=length)
    assert start < end <= next_stop
    assert end - start <= max_tokens


@pytest.mark.parametrize(
    ("start", "length", "stops", "expected"),
    [
        (0, 1000, (), 256),
        (768, 1000, (), 1000),
        (0, 256, (), 256),
        # Not 256 and 4: a chunk of 4 takes as long as one of 60.
        (0, 260, (), 136),
        (0, 280, (), 144),
        (0, 300, (), 256),
        (0, 1000, (40,), 40),
        (40, 1000, (40,), 296),
    ],
)
def test_chunks_are_whole_batches_and_none_is_tiny(
    start: int, length: int, stops: tuple[int, ...], expected: int
) -> None:
    assert even_chunk_end(start, length, stops, 256) == expected


def test_as_many_tokens_are_read_as_a_time_allows() -> None:
    plan = PrefillPlan(64, 1000.0)
    assert plan.tokens_for_cost(0, 50) == 50
    assert plan.tokens_for_cost(1000, 50) == 25
    assert plan.cost(1000, 1025) == pytest.approx(50, rel=0.02)

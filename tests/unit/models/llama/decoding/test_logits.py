import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.llama.decoding.logits import add_bias, penalise_frequent, penalise_repeats, top_k_tokens

_LOGITS = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=60).map(numpy.float32)


@given(_LOGITS, st.integers(-1, 70))
def test_the_likeliest_tokens_come_first(
    logits: "numpy.ndarray[tuple[int], numpy.dtype[numpy.float32]]", k: int
) -> None:
    tokens = top_k_tokens(logits, k)
    expected = sorted(logits.tolist(), reverse=True)
    assert logits[tokens].tolist() == (expected[:k] if k > 0 else expected)
    assert len(set(tokens.tolist())) == len(tokens)


def test_forbidden_tokens_come_last() -> None:
    logits = numpy.full(100, -numpy.inf, numpy.float32)
    logits[[7, 9]] = -3.0, -2.0
    assert top_k_tokens(logits, 5)[:2].tolist() == [9, 7]
    assert top_k_tokens(logits, 1).tolist() == [9]


def test_a_bias_is_added_to_its_tokens_and_to_no_others() -> None:
    logits = numpy.array([1.0, 2.0, -3.0, 4.0], numpy.float32)
    add_bias(logits, {3: -100.0, 1: 0.5})
    assert logits.tolist() == [1.0, 2.5, -3.0, -96.0]
    add_bias(logits, {})
    assert logits.tolist() == [1.0, 2.5, -3.0, -96.0]


def test_what_was_said_lately_is_less_likely_once_however_often_it_was_said() -> None:
    logits = numpy.float32([2.0, -2.0, 4.0])
    penalise_repeats(logits, [0, 1, 1, 0], 1.25)
    assert logits.tolist() == pytest.approx([1.6, -2.5, 4.0])
    penalise_repeats(logits, [], 1.25)
    assert logits.tolist() == pytest.approx([1.6, -2.5, 4.0])


def test_frequent_tokens_lose_as_often_as_they_came_and_others_nothing() -> None:
    logits = numpy.array([1.0, 2.0, -3.0, 4.0], numpy.float32)
    penalise_frequent(logits, {1: 3, 2: 1}, frequency=0.5, presence=0.25)
    assert logits.tolist() == [1.0, 0.25, -3.75, 4.0]
    penalise_frequent(logits, {}, frequency=0.5, presence=0.25)
    penalise_frequent(logits, {3: 2}, frequency=0.0, presence=0.0)
    assert logits.tolist() == [1.0, 0.25, -3.75, 4.0]

"""Recognition of the layout of saved states, and their pieces."""

import random

import numpy
import pytest

from models.llama.kv_cache.state_layout import Bytes, normalise_state, recognise_layout
from models.llama.kv_cache.state_pieces import NO_CACHE, iter_parts, take_apart
from tests.fakes.kv_state import make_state


def _bytes(state: bytes) -> Bytes:
    return numpy.frombuffer(bytearray(state), numpy.uint8)


@pytest.mark.parametrize("is_transposed", [True, False])
@pytest.mark.parametrize("window", [0, 20])
def test_each_cache_is_found_with_its_positions(is_transposed: bool, window: int) -> None:
    layout = recognise_layout(_bytes(make_state(50, is_transposed=is_transposed, window=window)))
    assert [(cache.first, cache.cells) for cache in layout.caches] == [(0, 50), *([(30, 20)] if window else [])]


@pytest.mark.parametrize("is_transposed", [True, False])
def test_a_state_that_was_taken_apart_is_put_together_again(is_transposed: bool) -> None:
    state = _bytes(make_state(50, is_transposed=is_transposed, window=20))
    layout = recognise_layout(state)
    joined = numpy.zeros_like(state)
    for piece in take_apart(state, layout, ()):
        for place, part in zip(iter_parts(joined, layout, piece), iter_parts(state, layout, piece), strict=True):
            place[...] = part
    assert joined.tobytes() == state.tobytes()


def test_a_state_that_continues_another_has_its_pieces_and_new_ones() -> None:
    before, after = _bytes(make_state(50)), _bytes(make_state(70))
    stored = list(take_apart(before, recognise_layout(before), ()))
    pieces = list(take_apart(after, recognise_layout(after), stored))
    cells = [(piece.first, piece.cells) for piece in pieces if piece.cache != NO_CACHE]
    assert cells == [(0, 50), (50, 20)]
    assert set(pieces) & set(stored) == {piece for piece in stored if piece.cache != NO_CACHE}
    other = _bytes(make_state(70, seed=2))
    assert not set(take_apart(other, recognise_layout(other), stored)) & set(stored)


def test_states_of_two_sequences_have_equal_cells() -> None:
    first, second = _bytes(make_state(50, sequence=0)), _bytes(make_state(50, sequence=1))
    pieces = []
    for state in (first, second):
        normalise_state(state)
        pieces.append([each for each in take_apart(state, recognise_layout(state), ()) if each.cache != NO_CACHE])
    assert pieces[0] == pieces[1]


def test_cells_in_the_order_of_their_memory_are_brought_into_that_of_their_positions() -> None:
    expected = _bytes(make_state(50))
    state = expected.copy()
    (cache,) = recognise_layout(state).caches
    for field in cache.fields:
        view = cache.view(state, field)
        view[:] = numpy.roll(view.copy(), 20, axis=1)
    assert state.tobytes() != expected.tobytes()
    normalise_state(state)
    assert state.tobytes() == expected.tobytes()


def test_what_is_not_recognised_is_kept_whole() -> None:
    chosen = random.Random(4)
    whole = make_state(20)
    strange = [b"", b"x", chosen.randbytes(5000), whole[:-1], bytes(5000), b"\xff" * 5000]
    for content in strange:
        state = _bytes(content)
        layout = recognise_layout(state)
        assert layout.caches == ()
        normalise_state(state)
        assert state.tobytes() == content


def test_what_follows_the_caches_belongs_to_no_cell() -> None:
    tail = random.Random(5).randbytes(3000)
    state = _bytes(make_state(20) + tail)
    layout = recognise_layout(state)
    assert len(layout.caches) == 1
    assert b"".join(state[gap].tobytes() for gap in layout.gaps()).endswith(tail)


def test_a_state_with_any_byte_flipped_is_still_taken_apart_without_an_error() -> None:
    content, chosen = make_state(20, window=10), random.Random(6)
    for _ in range(300):
        damaged = bytearray(content)
        damaged[chosen.randrange(400)] ^= 1 << chosen.randrange(8)
        state = _bytes(bytes(damaged))
        layout = recognise_layout(state)
        assert sum(piece.size_bytes for piece in take_apart(state, layout, ())) == len(content)

"""The index of a snapshot file, and the places of its pieces."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from models.llama.kv_cache.snapshot_index import SnapshotIndex, StoredPiece, StoredTokens, place_pieces, unpack_index
from models.llama.kv_cache.state_layout import CellCache, CellField, StateLayout
from models.llama.kv_cache.state_pieces import StatePiece


def test_an_index_is_read_as_it_was_written() -> None:
    caches = (CellCache(0, 7, (CellField(8, 1, 12), CellField(200, 4, 2))), CellCache(3, 4, (CellField(900, 1, 12),)))
    pieces = (
        StoredPiece(StatePiece(-1, 0, 0, 40, b"a" * 16), 132),
        StoredPiece(StatePiece(0, 0, 7, 140, b"b" * 16), 172, is_shared=True),
    )
    tokens = (StoredTokens(3, b"c" * 16, 400), StoredTokens(1, b"d" * 16, 412))
    index = SnapshotIndex(tokens, StateLayout(1000, caches), pieces)
    assert unpack_index(index.pack()) == index


@given(
    st.lists(st.integers(1, 50), max_size=20),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=10),
    st.integers(0, 50),
)
def test_pieces_overlap_neither_each_other_nor_what_is_used(
    sizes: list[int], used: list[tuple[int, int]], start: int
) -> None:
    offsets = place_pieces(sizes, used, start)
    placed = sorted(zip(offsets, sizes, strict=True))
    assert all(offset >= start for offset in offsets)
    assert all(first[0] + first[1] <= second[0] for first, second in pairwise(placed))
    for offset, size in placed:
        assert all(offset + size <= begin or begin + length <= offset for begin, length in used)


def test_a_gap_is_filled_before_the_file_grows() -> None:
    assert place_pieces([10, 10, 5], [(0, 100), (115, 20)], 0) == [100, 135, 110]

"""Pieces of a saved state: the cells that one turn added, and what belongs to no cell; each is stored once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy
import xxhash

from models.llama.kv_cache.state_layout import Bytes, StateLayout

NO_CACHE = -1
"""Number of the cache of a piece that holds the bytes of no cell."""

# In the caches of sliding windows, whose first cells drop out: a piece that loses some is stored again.
_MAX_WINDOW_CELLS = 16


@dataclass(frozen=True, slots=True)
class StatePiece:
    """Cells of one cache from a position on, or the bytes of no cell, and their checksum."""

    cache: int
    first: int
    cells: int
    size_bytes: int
    checksum: bytes


def checksum_of(*parts: Bytes | bytes | bytearray) -> bytes:
    """Detects corruption, not forgery: xxh3 in 128 bits, because SHA-256 runs at 0.4 GB/s on a small machine."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)  # type: ignore[arg-type]
    return digest.digest()


def take_apart(state: Bytes, layout: StateLayout, stored: Sequence[StatePiece]) -> Iterator[StatePiece]:
    """The pieces of a state, among them those of the `stored` ones whose bytes it still has."""
    yield _measure(state, layout, NO_CACHE, 0, 0)
    for number, cache in enumerate(layout.caches):
        first, end = cache.first, cache.first + cache.cells
        candidates = {piece.first: piece for piece in stored if piece.cache == number}
        borders = sorted(candidates)
        while first < end:
            candidate = candidates.get(first)
            if candidate is not None and first + candidate.cells <= end:
                piece = _measure(state, layout, number, first, candidate.cells)
                if piece == candidate:
                    yield piece
                    first += piece.cells
                    continue
            next_border = next((border for border in borders if border > first), end)
            cells = min(next_border, end) - first
            if number > 0:
                cells = min(cells, _MAX_WINDOW_CELLS)
            yield _measure(state, layout, number, first, cells)
            first += cells


def _measure(state: Bytes, layout: StateLayout, cache: int, first: int, cells: int) -> StatePiece:
    size_bytes, digest = 0, xxhash.xxh3_128()
    for part in _parts(state, layout, cache, first, cells):
        size_bytes += part.nbytes
        digest.update(numpy.ascontiguousarray(part).data)
    return StatePiece(cache, first, cells, size_bytes, digest.digest())


def iter_parts(state: Bytes, layout: StateLayout, piece: StatePiece) -> Iterator[Bytes]:
    """The runs of bytes of a piece, in their order in the file, as views of the state."""
    return _parts(state, layout, piece.cache, piece.first, piece.cells)


def _parts(state: Bytes, layout: StateLayout, cache: int, first: int, cells: int) -> Iterator[Bytes]:
    if cache == NO_CACHE:
        for gap in layout.gaps():
            yield state[gap]
        return
    start = first - layout.caches[cache].first
    for field in layout.caches[cache].fields:
        yield layout.caches[cache].view(state, field)[:, start : start + cells]

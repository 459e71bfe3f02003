"""Layout of a saved state: where the cells of each cache lie in the bytes that llama.cpp writes for a sequence.

The bytes are those of `llama_kv_cache::state_write` in llama.cpp's src/llama-kv-cache.cpp: a head, and for each cache
(a model with sliding windows has two) its cells, then the keys of all layers, then the values, in rows or, without
flash attention, in columns. A layout that is not recognised is one run of bytes without cells.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

Bytes = NDArray[numpy.uint8]

_HEAD_BYTES = 8  # magic, sequence
_MAX_STREAMS, _MAX_LAYERS, _MAX_TYPE, _MAX_ROW_BYTES = 4096, 4096, 1024, 1 << 24
# A cell's position, number of sequences and sequence, without and with the positions of images between them.
_CELL_BYTES = (12, 24, 20)
_INT = struct.Struct("<I")
_ROW_HEAD = struct.Struct("<iQ")
_COLUMN_HEAD = struct.Struct("<iII")


class _Unrecognised(Exception):
    """The bytes are not laid out as expected."""


@dataclass(frozen=True, slots=True)
class CellField:
    """One value of all cells of a cache, shape (outer, cells, item_bytes), from `offset` on."""

    offset: int
    outer: int
    item_bytes: int


@dataclass(frozen=True, slots=True)
class CellCache:
    """The cells of one cache, at consecutive positions from `first` on; the first field holds their positions."""

    first: int
    cells: int
    fields: tuple[CellField, ...]

    @property
    def cell_bytes(self) -> int:
        """Size of one cell in bytes."""
        return sum(field.outer * field.item_bytes for field in self.fields)

    def view(self, state: Bytes, field: CellField) -> Bytes:
        """A field as a view of the state, shape (outer, cells, item_bytes)."""
        end = field.offset + field.outer * self.cells * field.item_bytes
        return state[field.offset : end].reshape(field.outer, self.cells, field.item_bytes)

    def positions(self, state: Bytes) -> NDArray[numpy.int32]:
        """Position of each cell, shape (cells,)."""
        return self.view(state, self.fields[0])[0, :, :4].copy().view(numpy.int32)[:, 0]


@dataclass(frozen=True, slots=True)
class StateLayout:
    """The caches of a state of `size_bytes`; the bytes between their fields, and after the last one, belong to none."""

    size_bytes: int
    caches: tuple[CellCache, ...]

    def gaps(self) -> Iterator[slice]:
        """The runs of bytes that belong to no cell."""
        end = 0
        for cache in self.caches:
            for field in cache.fields:
                yield slice(end, field.offset)
                end = field.offset + field.outer * cache.cells * field.item_bytes
        yield slice(end, self.size_bytes)


def recognise_layout(state: Bytes) -> StateLayout:
    """The layout of a state; one without caches when it is not recognised. What follows the last cache that is, such as
    the state of recurrent layers, belongs to no cell.
    """
    caches: list[CellCache] = []
    end = _HEAD_BYTES
    while end < len(state):
        for cell_bytes in _CELL_BYTES:
            try:
                cache, end = _recognise_cache(state.data, end, cell_bytes)
            except (_Unrecognised, struct.error):
                continue
            caches.append(cache)
            break
        else:
            break
    return StateLayout(len(state), tuple(caches))


def normalise_state(state: Bytes) -> None:
    """Make equal states of different sequences equal bytes: without the number of the sequence, which llama.cpp ignores
    when it restores another one, and with the cells in the order of their positions.
    """
    layout = recognise_layout(state)
    if layout.caches:
        state[4:_HEAD_BYTES] = 0
    for cache in layout.caches:
        order = numpy.argsort(cache.positions(state))
        cache.view(state, cache.fields[0])[:, :, -4:] = 0
        if (numpy.diff(order) != 1).any():
            for field in cache.fields:
                cache.view(state, field)[:] = cache.view(state, field)[:, order]


def _recognise_cache(state: memoryview, start: int, cell_bytes: int) -> tuple[CellCache, int]:
    (streams,) = _INT.unpack_from(state, start)
    if not 0 < streams <= _MAX_STREAMS:
        raise _Unrecognised
    found, end = 0, start + 4
    fields: list[CellField] = []
    for _ in range(streams):
        (cells,) = _INT.unpack_from(state, end)
        end += 4
        if cells:
            if found:
                raise _Unrecognised
            found = cells
            fields, end = _recognise_fields(state, end, cells, cell_bytes)
    if not found:
        raise _Unrecognised
    positions = numpy.sort(CellCache(0, found, tuple(fields)).positions(numpy.frombuffer(state, numpy.uint8)))
    if (numpy.diff(positions) != 1).any():
        raise _Unrecognised
    return CellCache(int(positions[0]), found, tuple(fields)), end


def _recognise_fields(state: memoryview, start: int, cells: int, cell_bytes: int) -> tuple[list[CellField], int]:
    fields, end = [CellField(start, 1, cell_bytes)], start + cells * cell_bytes
    is_transposed, layers = struct.unpack_from("<II", state, end)
    if is_transposed > 1 or not 0 < layers <= _MAX_LAYERS:
        raise _Unrecognised
    end += 8
    for number in range(2 * layers):
        if number < layers or not is_transposed:
            outer, (kind, item_bytes) = 1, _ROW_HEAD.unpack_from(state, end)
            end += _ROW_HEAD.size
        else:
            kind, item_bytes, outer = _COLUMN_HEAD.unpack_from(state, end)
            end += _COLUMN_HEAD.size
        if not (0 <= kind < _MAX_TYPE and 0 < item_bytes <= _MAX_ROW_BYTES and 0 < outer <= _MAX_ROW_BYTES):
            raise _Unrecognised
        fields.append(CellField(end, outer, item_bytes))
        end += outer * cells * item_bytes
        if end > len(state):
            raise _Unrecognised
    return fields, end

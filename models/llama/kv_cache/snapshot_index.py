"""Index of a snapshot file: where its tokens are, the layout of their state, and where each of its pieces is."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from models.llama.kv_cache.state_layout import CellCache, CellField, StateLayout
from models.llama.kv_cache.state_pieces import StatePiece

Range = tuple[int, int]
"""Offset and size of a part of a file, in bytes."""

TOKEN_BYTES = 4

_SIZES = struct.Struct("<QIII")  # bytes of state; numbers of runs of tokens, caches and pieces
_TOKENS = struct.Struct("<I16sQ")
_CACHE = struct.Struct("<qQI")
_FIELD = struct.Struct("<QQQ")
_PIECE = struct.Struct("<iqIQ16sQ?")


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """A piece and its offset in the file; `is_shared`: in the file of the system prompt's snapshot."""

    piece: StatePiece
    offset: int
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """The tokens that one turn added, and their checksum."""

    count: int
    checksum: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class SnapshotIndex:
    """What a snapshot file holds."""

    tokens: tuple[StoredTokens, ...]
    layout: StateLayout
    pieces: tuple[StoredPiece, ...]

    def ranges(self) -> list[Range]:
        """The parts of the file that hold its tokens and its own pieces."""
        tokens = [(stored.offset, stored.count * TOKEN_BYTES) for stored in self.tokens]
        return tokens + [(stored.offset, stored.piece.size_bytes) for stored in self.pieces if not stored.is_shared]

    def pack(self) -> bytes:
        """The index as bytes."""
        packed = [_SIZES.pack(self.layout.size_bytes, len(self.tokens), len(self.layout.caches), len(self.pieces))]
        packed += [_TOKENS.pack(stored.count, stored.checksum, stored.offset) for stored in self.tokens]
        for cache in self.layout.caches:
            packed.append(_CACHE.pack(cache.first, cache.cells, len(cache.fields)))
            packed += [_FIELD.pack(field.offset, field.outer, field.item_bytes) for field in cache.fields]
        for stored in self.pieces:
            piece = stored.piece
            packed.append(
                _PIECE.pack(
                    piece.cache,
                    piece.first,
                    piece.cells,
                    piece.size_bytes,
                    piece.checksum,
                    stored.offset,
                    stored.is_shared,
                )
            )
        return b"".join(packed)


def unpack_index(packed: bytes) -> SnapshotIndex:
    """The index from its bytes, whose checksum is right."""
    size_bytes, token_count, cache_count, piece_count = _SIZES.unpack_from(packed)
    end = _SIZES.size + _TOKENS.size * token_count
    tokens = tuple(
        StoredTokens(*_TOKENS.unpack_from(packed, _SIZES.size + _TOKENS.size * n)) for n in range(token_count)
    )
    caches = []
    for _ in range(cache_count):
        first, cells, field_count = _CACHE.unpack_from(packed, end)
        end += _CACHE.size
        fields = tuple(CellField(*_FIELD.unpack_from(packed, end + _FIELD.size * n)) for n in range(field_count))
        end += _FIELD.size * field_count
        caches.append(CellCache(first, cells, fields))
    pieces = tuple(_unpack_piece(packed, end + _PIECE.size * number) for number in range(piece_count))
    return SnapshotIndex(tokens, StateLayout(size_bytes, tuple(caches)), pieces)


def _unpack_piece(packed: bytes, start: int) -> StoredPiece:
    *values, offset, is_shared = _PIECE.unpack_from(packed, start)
    return StoredPiece(StatePiece(*values), offset, is_shared)


def place_pieces(sizes: Sequence[int], used: Sequence[Range], start: int) -> list[int]:
    """Offsets for new pieces of these sizes, in gaps between the `used` ranges (offset, size) or after them."""
    free: list[list[int]] = []
    end = start
    for offset, size in sorted(used):
        if offset > end:
            free.append([end, offset - end])
        end = max(end, offset + size)
    offsets = []
    for size in sizes:
        gap = next((gap for gap in free if gap[1] >= size), None)
        if gap is None:
            offsets.append(end)
            end += size
        else:
            offsets.append(gap[0])
            gap[0], gap[1] = gap[0] + size, gap[1] - size
    return offsets

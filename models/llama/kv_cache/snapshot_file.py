"""File format of a snapshot: a header with model fingerprint and cache key, the pieces of the state, and their index.

A turn's new cells are added to the file; the header, which is overwritten last, names the index that holds. What a
crash leaves outside the pieces of that index is overwritten by the next snapshot.
"""

import os
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy
from xxhash import xxh3_128

from models.llama.kv_cache.cache_keys import SHARED, CacheKey
from models.llama.kv_cache.snapshot_index import (
    TOKEN_BYTES,
    Range,
    SnapshotIndex,
    StoredPiece,
    StoredTokens,
    place_pieces,
    unpack_index,
)
from models.llama.kv_cache.state_layout import Bytes, StateLayout, recognise_layout
from models.llama.kv_cache.state_pieces import StatePiece, checksum_of, iter_parts, take_apart

_MAGIC = b"HEARTHKV"
# Raised also to drop all files of versions that lost track of whose they were.
_VERSION = 3
# Magic, version, is_conversation, day, offset and size of the index; fingerprint, name, cache key, shared name, and
# the checksum of the index.
_HEADER = struct.Struct("<8sIIIQQ16s16s16s16s16s")
_CHECKSUM_BYTES = 16
_HEADER_BYTES = _HEADER.size + _CHECKSUM_BYTES
_CREATE = os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Part of a file that may be neither header, index nor piece: a fuller one is written whole.
_MAX_UNUSED_SHARE = 0.2


@dataclass(eq=False)
class SnapshotUnusable(Exception):
    """A file is not a usable snapshot of this model; `reason` is the end of a sentence that begins with the file."""

    reason: str

    def __str__(self) -> str:
        return self.reason


NO_NAME = bytes(16)
"""The name of no snapshot."""


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """Metadata of a snapshot: its name, its cache key, its tokens, the size of the state, the proleptic ordinal of the
    date in its prompt, 0 for none, and the name of the snapshot of its system prompt, whose file may hold its
    beginning.
    """

    name: bytes
    cache_key: CacheKey
    tokens: list[int]
    state_bytes: int
    day: int = 0
    shared_name: bytes = NO_NAME


@dataclass(frozen=True, slots=True)
class _Committed:
    """The verified header and index of a file, and the range of the index."""

    header: SnapshotHeader
    index: SnapshotIndex
    index_range: Range

    def used_ranges(self) -> list[Range]:
        """The ranges of the file that must not be overwritten before the header is."""
        return [*self.index.ranges(), self.index_range]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A snapshot to be written."""

    fingerprint: bytes
    header: SnapshotHeader
    state: Bytes
    layout: StateLayout


def write_snapshot(path: Path, fingerprint: bytes, header: SnapshotHeader, state: memoryview) -> int:
    """Write a snapshot and flush it to the disk: what it has more than the one in the file, if it continues that; else
    all of it, to a temporary file that is renamed. Returns the number of bytes written.

    Raises OSError, which leaves the snapshot that was there before.
    """
    content = numpy.frombuffer(state, numpy.uint8)
    snapshot = _Snapshot(fingerprint, header, content, recognise_layout(content))
    return (_continue_file(path, snapshot) if snapshot.layout.caches else 0) or _write_whole(path, snapshot)


def _continue_file(path: Path, snapshot: _Snapshot) -> int:
    """As `write_snapshot`; 0 when the file cannot be continued.

    Only a snapshot that holds all tokens of the one before continues it: what is not in a conversation any more must
    not stay in its file.
    """
    try:
        with path.open("r+b", buffering=0) as file:
            committed = _read_committed(file, snapshot.fingerprint)
            if not _continues(snapshot.header, committed.header):
                return 0
            stored = _shared_pieces(path, snapshot) | {each.piece: each for each in committed.index.pieces}
            pieces = list(take_apart(snapshot.state, snapshot.layout, list(stored)))
            new = [piece for piece in pieces if piece not in stored]
            reused = [stored[piece] for piece in pieces if piece in stored]
            known = len(committed.header.tokens)
            added = _place(new, snapshot.header.tokens[known:], committed.used_ranges())
            tokens = (*committed.index.tokens, *added.tokens)
            index = SnapshotIndex(tokens, snapshot.layout, (*reused, *added.pieces))
            if not reused or _unused_share(index) > _MAX_UNUSED_SHARE:
                return 0
            with _restored_on_error(file):
                return _write_added(file, snapshot, index, added, committed.used_ranges())
    except (SnapshotUnusable, FileNotFoundError, IsADirectoryError):
        return 0


def _continues(header: SnapshotHeader, before: SnapshotHeader) -> bool:
    names = (header.name, header.cache_key, header.shared_name)
    return (
        names == (before.name, before.cache_key, before.shared_name)
        and header.tokens[: len(before.tokens)] == before.tokens
    )


@contextmanager
def _restored_on_error(file: BinaryIO) -> Iterator[None]:
    """Cut off what was added to a file when it cannot be completed."""
    size = file.seek(0, os.SEEK_END)
    try:
        yield
    except OSError:
        with suppress(OSError):
            file.truncate(size)
        raise


def _write_whole(path: Path, snapshot: _Snapshot) -> int:
    temporary_path = path.with_name(path.name + ".writing")
    try:
        with os.fdopen(os.open(temporary_path, _CREATE, 0o600), "w+b", buffering=0) as file:
            stored = _shared_pieces(path, snapshot)
            pieces = list(take_apart(snapshot.state, snapshot.layout, list(stored)))
            added = _place([piece for piece in pieces if piece not in stored], snapshot.header.tokens, [])
            shared = [stored[piece] for piece in pieces if piece in stored]
            index = SnapshotIndex(added.tokens, snapshot.layout, (*shared, *added.pieces))
            written_bytes = _write_added(file, snapshot, index, added, [])
        temporary_path.replace(path)
    except OSError:
        temporary_path.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)
    return written_bytes


def _shared_path(path: Path, header: SnapshotHeader) -> Path | None:
    return None if header.shared_name == NO_NAME else path.with_name(header.shared_name.hex() + path.suffix)


def _shared_pieces(path: Path, snapshot: _Snapshot) -> dict[StatePiece, StoredPiece]:
    """The cells in the file of the system prompt, whose beginning a conversation need not store again."""
    if (shared_path := _shared_path(path, snapshot.header)) is None:
        return {}
    try:
        with shared_path.open("rb", buffering=0) as file:
            committed = _read_committed(file, snapshot.fingerprint)
    except (SnapshotUnusable, OSError):
        return {}
    if committed.header.cache_key != SHARED:
        return {}
    pieces = [each for each in committed.index.pieces if each.piece.cells]
    return {each.piece: StoredPiece(each.piece, each.offset, is_shared=True) for each in pieces}


@dataclass(frozen=True, slots=True)
class _Added:
    """What is added to a file: pieces and tokens, with their places."""

    pieces: tuple[StoredPiece, ...]
    tokens: tuple[StoredTokens, ...]
    packed_tokens: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.packed_tokens) + sum(each.piece.size_bytes for each in self.pieces)


def _place(pieces: list[StatePiece], tokens: list[int], used: list[Range]) -> _Added:
    packed = array("i", tokens).tobytes()
    *offsets, token_offset = place_pieces([*(each.size_bytes for each in pieces), len(packed)], used, _HEADER_BYTES)
    return _Added(
        tuple(StoredPiece(piece, offset) for piece, offset in zip(pieces, offsets, strict=True)),
        (StoredTokens(len(tokens), checksum_of(packed), token_offset),) if tokens else (),
        packed,
    )


def _write_added(file: BinaryIO, snapshot: _Snapshot, index: SnapshotIndex, added: _Added, used: list[Range]) -> int:
    """Write tokens, pieces and index, then, once these are on the disk, the header. Returns the bytes written."""
    for each in added.pieces:
        file.seek(each.offset)
        for part in iter_parts(snapshot.state, snapshot.layout, each.piece):
            _write_all(file, numpy.ascontiguousarray(part).data.cast("B"))
    for run in added.tokens:
        file.seek(run.offset)
        _write_all(file, memoryview(added.packed_tokens))
    packed = index.pack()
    (index_offset,) = place_pieces([len(packed)], [*used, *index.ranges()], _HEADER_BYTES)
    file.seek(index_offset)
    _write_all(file, memoryview(packed))
    os.fsync(file.fileno())
    file.seek(0)
    _write_all(file, memoryview(_pack_header(snapshot, index_offset, packed)))
    file.truncate(max(offset + size for offset, size in [*index.ranges(), (index_offset, len(packed))]))
    os.fsync(file.fileno())
    return _HEADER_BYTES + len(packed) + added.size_bytes


def _write_all(file: BinaryIO, content: memoryview) -> None:
    """Write all bytes: an unbuffered file may write fewer at a time."""
    while content:
        content = content[file.write(content) :]


def _unused_share(index: SnapshotIndex) -> float:
    ends = [offset + size for offset, size in index.ranges()]
    return 1 - sum(size for _, size in index.ranges()) / max(1, max(ends) - _HEADER_BYTES)


def read_snapshot_header(path: Path, fingerprint: bytes) -> SnapshotHeader:
    """The header of a file and its tokens, without the state. Raises SnapshotUnusable, OSError."""
    with path.open("rb") as file:
        return _read_committed(file, fingerprint).header


def read_snapshot(path: Path, fingerprint: bytes) -> tuple[SnapshotHeader, memoryview]:
    """A snapshot, verified. Raises SnapshotUnusable when it is of another model, cut off or damaged; OSError."""
    with path.open("rb", buffering=0) as file:
        committed = _read_committed(file, fingerprint)
        layout = committed.index.layout
        state = numpy.empty(layout.size_bytes, numpy.uint8)
        _read_pieces(file, state, layout, [each for each in committed.index.pieces if not each.is_shared])
    if shared := [each for each in committed.index.pieces if each.is_shared]:
        _read_shared(_shared_path(path, committed.header), state, layout, shared)
    return committed.header, state.data


def _read_shared(path: Path | None, state: Bytes, layout: StateLayout, pieces: list[StoredPiece]) -> None:
    try:
        with (path or Path()).open("rb", buffering=0) as file:
            _read_pieces(file, state, layout, pieces)
    except (SnapshotUnusable, OSError) as error:
        raise SnapshotUnusable("continues a system prompt whose snapshot is gone") from error


def _read_pieces(file: BinaryIO, state: Bytes, layout: StateLayout, pieces: list[StoredPiece]) -> None:
    """Read pieces to their places in a state. Raises SnapshotUnusable, OSError."""
    for each in pieces:
        file.seek(each.offset)
        digest = xxh3_128()
        for part in iter_parts(state, layout, each.piece):
            # Straight to its place, where that is one run of bytes.
            content = part if part.flags.c_contiguous else numpy.empty(part.shape, numpy.uint8)
            _read_all(file, content.data.cast("B") if content.size else memoryview(b""))
            digest.update(content.data)
            if content is not part:
                part[...] = content
        if digest.digest() != each.piece.checksum:
            raise SnapshotUnusable("is damaged")


def _read_tokens(file: BinaryIO, index: SnapshotIndex) -> list[int]:
    """Raises SnapshotUnusable, OSError."""
    tokens = array("i")
    for run in index.tokens:
        file.seek(run.offset)
        packed = bytearray(run.count * TOKEN_BYTES)
        _read_all(file, memoryview(packed))
        if checksum_of(packed) != run.checksum:
            raise SnapshotUnusable("is damaged")
        tokens.frombytes(packed)
    return tokens.tolist()


def _read_all(file: BinaryIO, content: memoryview) -> None:
    """Fill `content`. Raises SnapshotUnusable at the end of the file."""
    while content:
        read_bytes = file.readinto(content)  # type: ignore[attr-defined]
        if not read_bytes:
            raise SnapshotUnusable("is cut off or damaged")
        content = content[read_bytes:]


def _pack_header(snapshot: _Snapshot, index_offset: int, index: bytes) -> bytes:
    header, key = snapshot.header, snapshot.header.cache_key
    numbers = (key.is_conversation, header.day, index_offset, len(index))
    names = (snapshot.fingerprint, header.name, key.digest, header.shared_name)
    packed = _HEADER.pack(_MAGIC, _VERSION, *numbers, *names, checksum_of(index))
    return packed + checksum_of(packed)


def _read_committed(file: BinaryIO, fingerprint: bytes) -> _Committed:
    """Raises SnapshotUnusable, OSError."""
    packed = file.read(_HEADER_BYTES)
    if len(packed) < _HEADER_BYTES or packed[: len(_MAGIC)] != _MAGIC:
        raise SnapshotUnusable("is not a snapshot")
    (
        _,
        version,
        is_conversation,
        day,
        index_offset,
        index_bytes,
        model_fingerprint,
        name,
        key_digest,
        shared_name,
        checksum,
    ) = _HEADER.unpack_from(packed)
    if version != _VERSION or model_fingerprint != fingerprint:
        raise SnapshotUnusable("is of another model, another setting or another version")
    size = file.seek(0, os.SEEK_END)
    if checksum_of(packed[: _HEADER.size]) != packed[_HEADER.size :] or index_offset + index_bytes > size:
        raise SnapshotUnusable("is cut off or damaged")
    file.seek(index_offset)
    content = bytearray(index_bytes)
    _read_all(file, memoryview(content))
    if checksum_of(content) != checksum:
        raise SnapshotUnusable("is damaged")
    index = unpack_index(bytes(content))
    if max((offset + size_bytes for offset, size_bytes in index.ranges()), default=0) > size:
        raise SnapshotUnusable("is cut off or damaged")
    cache_key = CacheKey(key_digest, is_conversation=is_conversation == 1)
    tokens = _read_tokens(file, index)
    return _Committed(
        SnapshotHeader(name, cache_key, tokens, index.layout.size_bytes, day, shared_name),
        index,
        (index_offset, index_bytes),
    )


def flush_folder(folder: Path) -> None:
    """Make a rename or a deletion durable; not every file system supports it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)

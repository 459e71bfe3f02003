"""File format of a snapshot: a header with model fingerprint and cache key, the tokens, the state, a checksum."""

import os
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy
import xxhash

from models.llama.kv_cache.cache_keys import CacheKey

_MAGIC = b"HEARTHKV"
# Raised also to drop all files of versions that lost track of whose they were.
_VERSION = 2
# Magic, version, is_conversation, number of tokens, bytes of state; fingerprint, name, cache key, checksum.
_HEADER = struct.Struct("<8sIIIQ16s16s16s16s")
_CHECKSUM_BYTES = 16
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_MAX_TOKENS = 1 << 24


@dataclass(eq=False)
class SnapshotUnusable(Exception):
    """A file is not a usable snapshot of this model; `reason` is the end of a sentence that begins with the file."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """Metadata of a snapshot: its name, its cache key, its tokens, and the size of the state."""

    name: bytes
    cache_key: CacheKey
    tokens: list[int]
    state_bytes: int


def write_snapshot(path: Path, fingerprint: bytes, header: SnapshotHeader, state: memoryview) -> None:
    """Write a snapshot to a temporary file, flush it to the disk and rename it. Raises OSError, which leaves the folder
    as it was before.
    """
    temporary_path = path.with_name(path.name + ".writing")
    try:
        with os.fdopen(os.open(temporary_path, _CREATE, 0o600), "wb") as file:
            tokens = array("i", header.tokens).tobytes()
            blank_header = _pack_header(fingerprint, header, b"\0" * _CHECKSUM_BYTES)
            file.write(_pack_header(fingerprint, header, _checksum(blank_header, tokens, state)))
            file.write(tokens)
            file.write(state)
            file.flush()
            os.fsync(file.fileno())
        temporary_path.replace(path)
    except OSError:
        temporary_path.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def read_snapshot_header(path: Path, fingerprint: bytes) -> SnapshotHeader:
    """The header of a file, without reading its state or verifying its checksum. Raises SnapshotUnusable, OSError."""
    with path.open("rb") as file:
        return _read_header(file, fingerprint, path.stat().st_size)[0]


def read_snapshot(path: Path, fingerprint: bytes) -> tuple[SnapshotHeader, memoryview]:
    """A snapshot, verified. Raises SnapshotUnusable when it is of another model, cut off or damaged; OSError."""
    with path.open("rb") as file:
        header, checksum = _read_header(file, fingerprint, path.stat().st_size)
        state = numpy.empty(header.state_bytes, numpy.uint8).data
        if file.readinto(state) != header.state_bytes:
            raise SnapshotUnusable("is cut off")
    blank_header = _pack_header(fingerprint, header, b"\0" * _CHECKSUM_BYTES)
    if _checksum(blank_header, array("i", header.tokens).tobytes(), state) != checksum:
        raise SnapshotUnusable("is damaged")
    return header, state


def _pack_header(fingerprint: bytes, header: SnapshotHeader, checksum: bytes) -> bytes:
    sizes = (header.cache_key.is_conversation, len(header.tokens), header.state_bytes)
    return _HEADER.pack(_MAGIC, _VERSION, *sizes, fingerprint, header.name, header.cache_key.digest, checksum)


def _read_header(file: BinaryIO, fingerprint: bytes, size: int) -> tuple[SnapshotHeader, bytes]:
    packed = file.read(_HEADER.size)
    if len(packed) < _HEADER.size or packed[: len(_MAGIC)] != _MAGIC:
        raise SnapshotUnusable("is not a snapshot")
    _, version, is_conversation, token_count, state_bytes, model_fingerprint, name, key_digest, checksum = (
        _HEADER.unpack(packed)
    )
    if version != _VERSION or model_fingerprint != fingerprint:
        raise SnapshotUnusable("is of another model, another setting or another version")
    tokens = array("i")
    if token_count > _MAX_TOKENS or _HEADER.size + token_count * tokens.itemsize + state_bytes != size:
        raise SnapshotUnusable("is cut off or damaged")
    tokens.frombytes(file.read(token_count * tokens.itemsize))
    return SnapshotHeader(
        name, CacheKey(key_digest, is_conversation=is_conversation == 1), tokens.tolist(), state_bytes
    ), checksum


def _checksum(*parts: Sequence[int] | memoryview) -> bytes:
    """Detects corruption, not forgery: xxh3 in 128 bits, because SHA-256 runs at 0.4 GB/s on a small machine."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)  # type: ignore[arg-type]
    return digest.digest()


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

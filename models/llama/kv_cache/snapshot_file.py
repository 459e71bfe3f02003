"""One parked state as a file: a header that says whose and of which model it is, the tokens, the state, a checksum."""

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
_VERSION = 1
# Magic, version, whether the owner is lasting, tokens, bytes of state; fingerprint, name, owner, checksum.
_HEADER = struct.Struct("<8sIIIQ16s16s16s16s")
_CHECKSUM_BYTES = 16
_MOST_TOKENS = 1 << 24


@dataclass(eq=False)
class SnapshotUnusable(Exception):
    """A file that is no snapshot of this model; `reason` is the end of a sentence that begins with the file."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """What a snapshot is of: its own name, its owner, its tokens, and how many bytes the state has."""

    name: bytes
    cache_key: CacheKey
    tokens: list[int]
    state_bytes: int


def write_snapshot(path: Path, fingerprint: bytes, label: SnapshotHeader, state: memoryview) -> None:
    """Write a snapshot under another name, flush it to the disk and give it its name. Raises OSError; nothing is left
    then but what was there before.
    """
    temporary = path.with_name(path.name + ".writing")
    try:
        with temporary.open("wb") as file:
            tokens = array("i", label.tokens).tobytes()
            start = _packed_header(fingerprint, label, b"\0" * _CHECKSUM_BYTES)
            file.write(_packed_header(fingerprint, label, _checksum(start, tokens, state)))
            file.write(tokens)
            file.write(state)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def read_snapshot_header(path: Path, fingerprint: bytes) -> SnapshotHeader:
    """What a file is of, without its state and unchecked. Raises SnapshotUnusable, OSError."""
    with path.open("rb") as file:
        return _read_header(file, fingerprint, path.stat().st_size)[0]


def read_snapshot(path: Path, fingerprint: bytes) -> tuple[SnapshotHeader, memoryview]:
    """A snapshot, checked. Raises SnapshotUnusable when it is of another model, cut off or damaged; OSError."""
    with path.open("rb") as file:
        label, checksum = _read_header(file, fingerprint, path.stat().st_size)
        state = numpy.empty(label.state_bytes, numpy.uint8).data
        if file.readinto(state) != label.state_bytes:
            raise SnapshotUnusable("is cut off")
    start = _packed_header(fingerprint, label, b"\0" * _CHECKSUM_BYTES)
    if _checksum(start, array("i", label.tokens).tobytes(), state) != checksum:
        raise SnapshotUnusable("is damaged")
    return label, state


def _packed_header(fingerprint: bytes, label: SnapshotHeader, checksum: bytes) -> bytes:
    sizes = (label.cache_key.is_conversation, len(label.tokens), label.state_bytes)
    return _HEADER.pack(_MAGIC, _VERSION, *sizes, fingerprint, label.name, label.cache_key.digest, checksum)


def _read_header(file: BinaryIO, fingerprint: bytes, size: int) -> tuple[SnapshotHeader, bytes]:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size or header[: len(_MAGIC)] != _MAGIC:
        raise SnapshotUnusable("is no parked conversation")
    _, version, lasting, count, state_bytes, of_model, name, owner, checksum = _HEADER.unpack(header)
    if version != _VERSION or of_model != fingerprint:
        raise SnapshotUnusable("is of another model, another setting or another version")
    tokens = array("i")
    if count > _MOST_TOKENS or _HEADER.size + count * tokens.itemsize + state_bytes != size:
        raise SnapshotUnusable("is cut off or damaged")
    tokens.frombytes(file.read(count * tokens.itemsize))
    return SnapshotHeader(name, CacheKey(owner, lasting == 1), tokens.tolist(), state_bytes), checksum


def _checksum(*parts: Sequence[int] | memoryview) -> bytes:
    """Against rot, not forgery: xxh3 in 128 bits, because SHA-256 runs at 0.4 GB/s on a small machine."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)  # type: ignore[arg-type]
    return digest.digest()


def _flush_folder(folder: Path) -> None:
    """Make a new name last; not every file system can."""
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

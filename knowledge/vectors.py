"""Vector index of one collection in usearch, and its file: a cache that is verified before it is loaded."""

import ctypes
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from knowledge.embedding import FloatArray

HalfArray = npt.NDArray[np.float16]
IdArray = npt.NDArray[np.uint64]
SumArray = npt.NDArray[np.float64]

_BLOCK = 1 << 20
_EXPANSION_SEARCH = 128
"""Candidates that usearch examines per question; its default of 64 is low for the 50 results requested."""


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A saved index: complete up to change `last_seq`, with `count` vectors whose sum is `total` (float64)."""

    name: str
    last_seq: int
    count: int
    dimension: int
    xxh3: str
    total: bytes


@dataclass(eq=False)
class IndexDamaged(Exception):
    """A saved index that must not be loaded; `reason` says why. It is rebuilt from the database."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"The vector index {self.path} will be rebuilt: {self.reason}."


class VectorIndex:
    """Nearest neighbours by inner product, in float16. Single-threaded: usearch has open concurrency bugs."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._index = _usearch().Index(ndim=dimension, metric="ip", dtype="f16", expansion_search=_EXPANSION_SEARCH)
        self.vector_sum: SumArray = np.zeros(dimension, dtype=np.float64)
        """The sum of all vectors; its product with a unit vector, over the count, is the mean cosine to all of them."""

    def __len__(self) -> int:
        return len(self._index)

    def add_vectors(self, ids: IdArray, vectors: HalfArray) -> None:
        """Add unit vectors; ids already present are skipped."""
        new = ~np.atleast_1d(self._index.contains(ids))
        if new.any():
            self._index.add(ids[new], vectors[new], threads=1)
            self.vector_sum += vectors[new].sum(axis=0, dtype=np.float64)

    def remove_vectors(self, ids: IdArray) -> None:
        """Remove vectors; unknown ids are skipped. usearch reuses their slots."""
        present = ids[np.atleast_1d(self._index.contains(ids))]
        if present.size:
            removed = np.atleast_2d(np.asarray(self._index.get(present), dtype=np.float64))
            self._index.remove(present, threads=1)
            self.vector_sum -= removed.sum(axis=0)

    def find_nearest(self, vector: FloatArray, limit: int) -> dict[int, float]:
        """The nearest ids with their cosines, nearest first, at most `limit`."""
        if not len(self._index):
            return {}
        found = self._index.search(vector, limit, threads=1)
        return {int(key): 1.0 - float(distance) for key, distance in zip(found.keys, found.distances, strict=True)}

    def save(self, folder: Path, name: str, last_seq: int) -> IndexFile:
        """Write the index atomically to `folder/name` (mode 0600); the record to store.

        Raises OSError, leaving no file.
        """
        # Saved to memory first: usearch holds the GIL while it writes; to memory that takes 20 ms for 40,000 vectors.
        data = memoryview(self._index.save() or b"")
        temporary = folder / f"{name}.new"
        try:
            _write(temporary, data)
            temporary.rename(folder / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(folder)
        return IndexFile(
            name, last_seq, len(self), self._dimension, xxhash.xxh3_128_hexdigest(data), self.vector_sum.tobytes()
        )

    @classmethod
    def load(cls, folder: Path, record: IndexFile, dimension: int) -> "VectorIndex":
        """Read a saved index after verifying its checksum. Raises IndexDamaged.

        usearch does not validate files: one flipped byte can crash it, and another dimension is adopted silently.
        """
        path = folder / record.name
        data = _read(path)
        if xxhash.xxh3_128_hexdigest(data) != record.xxh3:
            raise IndexDamaged(path, "its content is not what was saved")
        loaded = cls(dimension)
        found = loaded._index.metadata(data) or {}
        if (found.get("dimensions"), found.get("kind_scalar")) != (dimension, loaded._index.dtype):
            raise IndexDamaged(path, f"it is not made of float16 vectors of {dimension} numbers")
        if found.get("version") != (version := _version()):
            raise IndexDamaged(path, f"usearch {found.get('version')} wrote it, and this is {version}")
        loaded._index.load(data)
        if len(loaded) != record.count:
            raise IndexDamaged(path, f"it has {len(loaded)} vectors instead of {record.count}")
        loaded.vector_sum = np.frombuffer(record.total, dtype=np.float64).copy()
        return loaded


class ExactScan:
    """Exact nearest-neighbour search over vectors in chunks; answers until an index is ready."""

    def __init__(self, vector: FloatArray, limit: int) -> None:
        self._vector = vector
        self._limit = limit
        self.nearest: dict[int, float] = {}
        self.vector_sum: SumArray = np.zeros(vector.shape[0], dtype=np.float64)
        self.vector_count = 0

    def add_vectors(self, ids: IdArray, vectors: HalfArray) -> None:
        """Compare a chunk with the question; `vectors` has shape (len(ids), dimension)."""
        self.vector_sum += vectors.sum(axis=0, dtype=np.float64)
        self.vector_count += len(ids)
        cosines = vectors.astype(np.float32) @ self._vector
        top = np.argsort(-cosines, kind="stable")[: self._limit]
        found = self.nearest | {int(ids[i]): float(cosines[i]) for i in top}
        self.nearest = dict(sorted(found.items(), key=lambda item: -item[1])[: self._limit])


def pack_vectors(vectors: FloatArray) -> list[bytes]:
    """Vectors in the database's format: little-endian float16."""
    return [row.tobytes() for row in vectors.astype("<f2")]


def unpack_vectors(blobs: Sequence[bytes], dimension: int) -> HalfArray:
    """Stored vectors as an array of shape (len(blobs), dimension)."""
    flat = np.frombuffer(b"".join(blobs), dtype="<f2")
    return flat.reshape(len(blobs), dimension).astype(np.float16, copy=False)


def id_array(ids: Iterable[int]) -> IdArray:
    """Passage ids as uint64, usearch's key type."""
    return np.fromiter(ids, dtype=np.uint64)


@cache
def _usearch() -> Any:
    """usearch, imported after the system's C++ library.

    Its Linux wheel bundles a C++ library whose symbols override the system's: onnxruntime then crashes at import
    (SIGSEGV), and llama.cpp cannot load a model (usearch 2.26.6). If the system's library is loaded first, with global
    symbols, all three work in any order.
    """
    with suppress(OSError):
        ctypes.CDLL("libstdc++.so.6", mode=ctypes.RTLD_GLOBAL)
    import usearch.index

    return usearch.index


def _version() -> str:
    import usearch

    return str(usearch.__version__)


def _write(path: Path, data: memoryview) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for start in range(0, len(data), _BLOCK):
            file.write(data[start : start + _BLOCK])
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise IndexDamaged(path, f"it cannot be read ({error.strerror})") from error


def _sync_folder(folder: Path) -> None:
    """Flush a folder to disk, without which a rename in it may be lost."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Nearest-neighbour search: one vector index per collection, kept up to date with the database."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from knowledge.embedding import FloatArray
from knowledge.store.vector_store import VectorRow, VectorStore
from knowledge.vectors import (
    ExactScan,
    HalfArray,
    IdArray,
    IndexDamaged,
    IndexFile,
    SumArray,
    VectorIndex,
    id_array,
    unpack_vectors,
)
from knowledge.worker_thread import WorkerThread

log = logging.getLogger(__name__)

_PAGE = 200
"""Vectors moved into an index at once: about 30 ms of usearch."""
_SCAN_PAGE = 4000
"""Vectors of an exact scan in one job of the index thread."""


@dataclass(frozen=True, slots=True)
class NearestPassages:
    """The passages nearest to a question with their cosines, and the question's mean cosine to all passages
    searched.
    """

    cosines: dict[int, float]
    mean_cosine: float


@dataclass
class _CollectionIndex:
    """A collection's index in memory. `index` is None until it is complete; until then an exact scan answers."""

    index: VectorIndex | None = None
    last_seq: int = 0
    saved_seq: int = -1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class VectorSearch:
    """The vector indexes of all collections. Only `index_thread` calls usearch."""

    def __init__(self, vectors: VectorStore, index_thread: WorkerThread, folder: Path, dimension: int) -> None:
        self._vectors = vectors
        self._thread = index_thread
        self._folder = folder
        self._dimension = dimension
        self._indexes: dict[int, _CollectionIndex] = {}

    async def open(self, collections: Collection[int], usable: Collection[int]) -> None:
        """Load the intact index files of the usable collections; the first `update_index` builds the others."""
        records = await self._vectors.index_files()
        await self.delete_stale_files()
        for collection in collections:
            self._indexes[collection] = await self._load(records.get(collection) if collection in usable else None)

    def is_index_ready(self, collection: int) -> bool:
        """Whether an index answers for a collection, not an exact scan."""
        return self._indexes[collection].index is not None

    def drop_index(self, collection: int) -> None:
        """Drop the index of a collection, because its vectors in the database were replaced."""
        self._indexes[collection] = _CollectionIndex()

    async def update_index(self, collection: int) -> None:
        """Bring an index up to the database's last change; a missing one is put in place when it is complete."""
        entry = self._indexes[collection]
        async with entry.lock:
            target = await self._vectors.last_seq()
            index, since = entry.index, entry.last_seq
            if index is None:
                index, since = await self._thread.run(lambda: VectorIndex(self._dimension)), 0
            if since < target:
                await self._apply_changes(collection, index, since, target)
            entry.index, entry.last_seq = index, target

    async def find_nearest(self, vector: FloatArray, collections: Collection[int], limit: int) -> NearestPassages:
        """The nearest passages of the collections, at most `limit` of each."""
        cosines: dict[int, float] = {}
        vector_sum: SumArray = np.zeros(self._dimension, dtype=np.float64)
        count = 0
        for collection in collections:
            found, collection_sum, collection_count = await self._search_one(vector, collection, limit)
            cosines |= found
            vector_sum += collection_sum
            count += collection_count
        return NearestPassages(cosines, float(vector_sum @ vector) / count if count else 0.0)

    async def save_index(self, collection: int) -> None:
        """Write a collection's index to its file if it has changed. Raises OSError; the old file then stays."""
        entry = self._indexes[collection]
        async with entry.lock:
            index, seq = entry.index, entry.last_seq
            if index is None or entry.saved_seq == seq:
                return
            name = f"vectors-{collection}-{seq}.usearch"
            record = await self._thread.run(lambda: index.save(self._folder, name, seq))
            await self._vectors.record_index_file(collection, record)
            entry.saved_seq = seq
            await self.delete_stale_files()

    async def delete_stale_files(self) -> None:
        """Delete index files without a record: left over from a crash, replaced by newer ones, or of no collection."""
        names = {kept.name for kept in (await self._vectors.index_files()).values()}
        await self._thread.run(lambda: self._delete_files_except(names))

    async def _search_one(
        self, vector: FloatArray, collection: int, limit: int
    ) -> tuple[dict[int, float], SumArray, int]:
        index = self._indexes[collection].index
        if index is not None:
            return await self._thread.run(partial(_search_index, index, vector, limit), urgent=True)
        scan = ExactScan(vector, limit)
        async for rows in self._vectors.all_vectors(collection, _SCAN_PAGE):
            await self._thread.run(partial(scan.add_vectors, *_to_arrays(rows, self._dimension)), urgent=True)
        return scan.nearest, scan.vector_sum, scan.vector_count

    async def _apply_changes(self, collection: int, index: VectorIndex, since: int, target: int) -> None:
        removed = await self._vectors.removed_ids(collection, since, target)
        for start in range(0, len(removed), _PAGE):
            await self._thread.run(partial(index.remove_vectors, id_array(removed[start : start + _PAGE])))
        async for rows in self._vectors.added_vectors(collection, since, target, _PAGE):
            await self._thread.run(partial(index.add_vectors, *_to_arrays(rows, self._dimension)))

    async def _load(self, record: IndexFile | None) -> _CollectionIndex:
        if record is None:
            return _CollectionIndex()
        try:
            index = await self._thread.run(lambda: VectorIndex.load(self._folder, record, self._dimension))
        except IndexDamaged as error:
            log.warning("%s Until then an exact scan answers.", error)
            return _CollectionIndex()
        return _CollectionIndex(index, record.last_seq, record.last_seq)

    def _delete_files_except(self, keep: set[str]) -> None:
        for path in self._folder.glob("vectors-*.usearch*"):
            if path.name not in keep:
                path.unlink(missing_ok=True)


def _search_index(index: VectorIndex, vector: FloatArray, limit: int) -> tuple[dict[int, float], SumArray, int]:
    return index.find_nearest(vector, limit), index.vector_sum.copy(), len(index)


def _to_arrays(rows: Sequence[VectorRow], dimension: int) -> tuple[IdArray, HalfArray]:
    return id_array(key for key, _ in rows), unpack_vectors([vector for _, vector in rows], dimension)

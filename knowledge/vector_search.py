"""Which passages are near a question's vector: an index per collection, kept in step with the database."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from knowledge.embedding import FloatArray
from knowledge.store import KnowledgeStore
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
"""Vectors an exact scan looks at between two glances at the queue."""


@dataclass(frozen=True, slots=True)
class NearestPassages:
    """Passages near a question with their cosines, and the question's mean cosine to all passages searched."""

    cosines: dict[int, float]
    mean_cosine: float


@dataclass
class _CollectionIndex:
    """A collection's index in memory. `index` is None until it is complete; an exact scan answers meanwhile."""

    index: VectorIndex | None = None
    last_seq: int = 0
    saved_seq: int = -1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class VectorSearch:
    """The vector indexes of all collections. usearch is touched by the worker's thread only."""

    def __init__(self, store: KnowledgeStore, worker: WorkerThread, folder: Path, dimension: int) -> None:
        self._store = store
        self._thread = worker
        self._folder = folder
        self._dimension = dimension
        self._indexes: dict[int, _CollectionIndex] = {}

    async def open(self, collections: Collection[int]) -> None:
        """Load the index files that can be trusted; the others are built by the first `update_index`."""
        records = await self._read_records()
        await self._thread.run(lambda: self._delete_stale_files({record.name for record in records.values()}))
        for collection in collections:
            self._indexes[collection] = await self._load(records.get(collection))

    def is_index_ready(self, collection: int) -> bool:
        """Whether an index answers for a collection, not an exact scan."""
        return self._indexes[collection].index is not None

    def drop_indexes(self) -> None:
        """Drop all indexes: the vectors in the database are others now."""
        self._indexes = {collection: _CollectionIndex() for collection in self._indexes}

    async def update_index(self, collection: int) -> None:
        """Bring an index up to the database's last change; a missing one is built aside, then put in place."""
        shelf = self._indexes[collection]
        async with shelf.lock:
            (target,) = await self._store.read_db.fetch_row("SELECT value FROM sequence")
            index, since = shelf.index, shelf.last_seq
            if index is None:
                index, since = await self._thread.run(lambda: VectorIndex(self._dimension)), 0
            if since < target:
                await self._apply_changes(collection, index, since, target)
            shelf.index, shelf.last_seq = index, target

    async def find_nearest(self, vector: FloatArray, collections: Collection[int], limit: int) -> NearestPassages:
        """The nearest passages of the collections, at most `limit` of each."""
        cosines: dict[int, float] = {}
        total: SumArray = np.zeros(self._dimension, dtype=np.float64)
        count = 0
        for collection in collections:
            found, its_total, its_count = await self._search_one(vector, collection, limit)
            cosines |= found
            total += its_total
            count += its_count
        return NearestPassages(cosines, float(total @ vector) / count if count else 0.0)

    async def save_index(self, collection: int) -> None:
        """Write a collection's index to its file if it has changed. Raises OSError; the old file then stays."""
        shelf = self._indexes[collection]
        async with shelf.lock:
            index, seq = shelf.index, shelf.last_seq
            if index is None or shelf.saved_seq == seq:
                return
            name = f"vectors-{collection}-{seq}.usearch"
            record = await self._thread.run(lambda: index.save(self._folder, name, seq))
            await self._write_record(collection, record)
            shelf.saved_seq = seq
            names = {kept.name for kept in (await self._read_records()).values()}
            await self._thread.run(lambda: self._delete_stale_files(names))

    async def _search_one(
        self, vector: FloatArray, collection: int, limit: int
    ) -> tuple[dict[int, float], SumArray, int]:
        index = self._indexes[collection].index
        if index is not None:
            return await self._thread.run(partial(_search_index, index, vector, limit), urgent=True)
        scan = ExactScan(vector, limit)
        after = -1
        while rows := await self._store.read_db.fetch_rows(_ALL_VECTORS, (collection, after, _SCAN_PAGE)):
            after = rows[-1][0]
            ids, vectors = _columns(rows, self._dimension)
            await self._thread.run(partial(scan.add_vectors, ids, vectors), urgent=True)
        return scan.nearest, scan.vector_sum, scan.vector_count

    async def _apply_changes(self, collection: int, index: VectorIndex, since: int, target: int) -> None:
        gone = await self._store.read_db.fetch_rows(_REMOVED_VECTORS, (collection, since, target))
        for start in range(0, len(gone), _PAGE):
            await self._thread.run(
                partial(index.remove_vectors, id_array(key for (key,) in gone[start : start + _PAGE]))
            )
        place = (since, 2**62)
        while rows := await self._store.read_db.fetch_rows(_ADDED_VECTORS, (collection, *place, target, _PAGE)):
            place = (rows[-1][2], rows[-1][0])
            ids, vectors = _columns(rows, self._dimension)
            await self._thread.run(partial(index.add_vectors, ids, vectors))

    async def _load(self, record: IndexFile | None) -> _CollectionIndex:
        if record is None:
            return _CollectionIndex()
        try:
            index = await self._thread.run(lambda: VectorIndex.load(self._folder, record, self._dimension))
        except IndexDamaged as damaged:
            log.warning("%s Until then an exact scan answers.", damaged)
            return _CollectionIndex()
        return _CollectionIndex(index, record.last_seq, record.last_seq)

    async def _read_records(self) -> dict[int, IndexFile]:
        rows = await self._store.write_db.fetch_rows(
            "SELECT collection_id, name, last_seq, count, dimension, xxh3, total FROM index_files"
        )
        return {row[0]: IndexFile(*row[1:]) for row in rows}

    async def _write_record(self, collection: int, record: IndexFile) -> None:
        async with self._store.write_db.transaction() as db:
            await db.execute(
                "INSERT OR REPLACE INTO index_files (collection_id, name, last_seq, count, dimension, xxh3, total)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (collection, record.name, record.last_seq, record.count, record.dimension, record.xxh3, record.total),
            )
            await db.execute(
                "DELETE FROM tombstones WHERE collection_id = ? AND seq <= ?", (collection, record.last_seq)
            )

    def _delete_stale_files(self, keep: set[str]) -> None:
        """Delete index files that no record names: a crash left them, or a newer one replaced them."""
        for path in self._folder.glob("vectors-*.usearch*"):
            if path.name not in keep:
                path.unlink(missing_ok=True)


_ALL_VECTORS = """
SELECT passage_id, vector FROM vectors WHERE collection_id = ? AND passage_id > ? ORDER BY passage_id LIMIT ?
"""
_REMOVED_VECTORS = "SELECT passage_id FROM tombstones WHERE collection_id = ? AND seq > ? AND seq <= ?"
_ADDED_VECTORS = """
SELECT passage_id, vector, seq FROM vectors
WHERE collection_id = ?1 AND (seq > ?2 OR (seq = ?2 AND passage_id > ?3)) AND seq <= ?4
ORDER BY seq, passage_id LIMIT ?5
"""


def _search_index(index: VectorIndex, vector: FloatArray, limit: int) -> tuple[dict[int, float], SumArray, int]:
    return index.find_nearest(vector, limit), index.vector_sum.copy(), len(index)


def _columns(rows: list[Any], dimension: int) -> tuple[IdArray, HalfArray]:
    return id_array(row[0] for row in rows), unpack_vectors([row[1] for row in rows], dimension)

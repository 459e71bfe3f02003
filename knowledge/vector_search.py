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
from knowledge.store import Store
from knowledge.vectors import (
    ExactScan,
    HalfArray,
    IdArray,
    IndexDamaged,
    IndexFile,
    SumArray,
    VectorIndex,
    ids_of,
    unpack,
)
from knowledge.worker_thread import Worker

log = logging.getLogger(__name__)

_PAGE = 200
"""Vectors moved into an index at once: about 30 ms of usearch."""
_SCAN_PAGE = 4000
"""Vectors an exact scan looks at between two glances at the queue."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """Passages near a question with their cosines, and the question's mean cosine to all passages searched."""

    cosines: dict[int, float]
    background: float


@dataclass
class _Shelf:
    """A collection's index in memory. `index` is None until it is complete; an exact scan answers meanwhile."""

    index: VectorIndex | None = None
    last_seq: int = 0
    saved_seq: int = -1
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Neighbours:
    """The vector indexes of all collections. usearch is touched by the worker's thread only."""

    def __init__(self, store: Store, worker: Worker, folder: Path, dimension: int) -> None:
        self._store = store
        self._worker = worker
        self._folder = folder
        self._dimension = dimension
        self._shelves: dict[int, _Shelf] = {}

    async def open(self, collections: Collection[int]) -> None:
        """Load the index files that can be trusted; the others are built by the first `catch_up`."""
        records = await self._records()
        await self._worker.run(lambda: self._sweep({record.name for record in records.values()}))
        for collection in collections:
            self._shelves[collection] = await self._load(records.get(collection))

    def ready(self, collection: int) -> bool:
        """Whether an index answers for a collection, not an exact scan."""
        return self._shelves[collection].index is not None

    def reset(self) -> None:
        """Drop all indexes: the vectors in the database are others now."""
        self._shelves = {collection: _Shelf() for collection in self._shelves}

    async def catch_up(self, collection: int) -> None:
        """Bring an index up to the database's last change; a missing one is built aside, then put in place."""
        shelf = self._shelves[collection]
        async with shelf.changing:
            (target,) = await self._store.reads.row("SELECT value FROM sequence")
            index, since = shelf.index, shelf.last_seq
            if index is None:
                index, since = await self._worker.run(lambda: VectorIndex(self._dimension)), 0
            if since < target:
                await self._replay(collection, index, since, target)
            shelf.index, shelf.last_seq = index, target

    async def search(self, vector: FloatArray, collections: Collection[int], limit: int) -> Nearest:
        """The nearest passages of the collections, at most `limit` of each."""
        cosines: dict[int, float] = {}
        total: SumArray = np.zeros(self._dimension, dtype=np.float64)
        count = 0
        for collection in collections:
            found, its_total, its_count = await self._search_one(vector, collection, limit)
            cosines |= found
            total += its_total
            count += its_count
        return Nearest(cosines, float(total @ vector) / count if count else 0.0)

    async def save(self, collection: int) -> None:
        """Write a collection's index to its file if it has changed. Raises OSError; the old file then stays."""
        shelf = self._shelves[collection]
        async with shelf.changing:
            index, seq = shelf.index, shelf.last_seq
            if index is None or shelf.saved_seq == seq:
                return
            name = f"vectors-{collection}-{seq}.usearch"
            record = await self._worker.run(lambda: index.save(self._folder, name, seq))
            await self._record(collection, record)
            shelf.saved_seq = seq
            names = {kept.name for kept in (await self._records()).values()}
            await self._worker.run(lambda: self._sweep(names))

    async def _search_one(
        self, vector: FloatArray, collection: int, limit: int
    ) -> tuple[dict[int, float], SumArray, int]:
        index = self._shelves[collection].index
        if index is not None:
            return await self._worker.run(partial(_ask, index, vector, limit), urgent=True)
        scan = ExactScan(vector, limit)
        after = -1
        while rows := await self._store.reads.rows(_ALL_VECTORS, (collection, after, _SCAN_PAGE)):
            after = rows[-1][0]
            ids, vectors = _columns(rows, self._dimension)
            await self._worker.run(partial(scan.feed, ids, vectors), urgent=True)
        return scan.best, scan.total, scan.count

    async def _replay(self, collection: int, index: VectorIndex, since: int, target: int) -> None:
        gone = await self._store.reads.rows(_GONE, (collection, since, target))
        for start in range(0, len(gone), _PAGE):
            await self._worker.run(partial(index.remove, ids_of(key for (key,) in gone[start : start + _PAGE])))
        place = (since, 2**62)
        while rows := await self._store.reads.rows(_NEW, (collection, *place, target, _PAGE)):
            place = (rows[-1][2], rows[-1][0])
            ids, vectors = _columns(rows, self._dimension)
            await self._worker.run(partial(index.add, ids, vectors))

    async def _load(self, record: IndexFile | None) -> _Shelf:
        if record is None:
            return _Shelf()
        try:
            index = await self._worker.run(lambda: VectorIndex.load(self._folder, record, self._dimension))
        except IndexDamaged as damaged:
            log.warning("%s Until then an exact scan answers.", damaged)
            return _Shelf()
        return _Shelf(index, record.last_seq, record.last_seq)

    async def _records(self) -> dict[int, IndexFile]:
        rows = await self._store.writes.rows(
            "SELECT collection_id, name, last_seq, count, dimension, xxh3, total FROM index_files"
        )
        return {row[0]: IndexFile(*row[1:]) for row in rows}

    async def _record(self, collection: int, record: IndexFile) -> None:
        async with self._store.writes.transaction() as db:
            await db.execute(
                "INSERT OR REPLACE INTO index_files (collection_id, name, last_seq, count, dimension, xxh3, total)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (collection, record.name, record.last_seq, record.count, record.dimension, record.xxh3, record.total),
            )
            await db.execute(
                "DELETE FROM tombstones WHERE collection_id = ? AND seq <= ?", (collection, record.last_seq)
            )

    def _sweep(self, keep: set[str]) -> None:
        """Delete index files that no record names: a crash left them, or a newer one replaced them."""
        for path in self._folder.glob("vectors-*.usearch*"):
            if path.name not in keep:
                path.unlink(missing_ok=True)


_ALL_VECTORS = """
SELECT passage_id, vector FROM vectors WHERE collection_id = ? AND passage_id > ? ORDER BY passage_id LIMIT ?
"""
_GONE = "SELECT passage_id FROM tombstones WHERE collection_id = ? AND seq > ? AND seq <= ?"
_NEW = """
SELECT passage_id, vector, seq FROM vectors
WHERE collection_id = ?1 AND (seq > ?2 OR (seq = ?2 AND passage_id > ?3)) AND seq <= ?4
ORDER BY seq, passage_id LIMIT ?5
"""


def _ask(index: VectorIndex, vector: FloatArray, limit: int) -> tuple[dict[int, float], SumArray, int]:
    return index.search(vector, limit), index.total.copy(), len(index)


def _columns(rows: list[Any], dimension: int) -> tuple[IdArray, HalfArray]:
    return ids_of(row[0] for row in rows), unpack([row[1] for row in rows], dimension)

"""Stored vectors: writing them, paging through them, and the records of saved index files."""

import json
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from knowledge.embedding import text_to_embed
from knowledge.sqlite import Database
from knowledge.store.sequence import last_seq, next_seq
from knowledge.vectors import IndexFile

VectorRow = tuple[int, bytes]
"""A passage's id and its vector as little-endian float16."""

_UNEMBEDDED = """
SELECT passages.id, title, heading, text
FROM passages
JOIN documents ON documents.id = document_id
LEFT JOIN vectors ON passage_id = passages.id
WHERE passages.collection_id = ? AND passages.id > ? AND passage_id IS NULL
ORDER BY passages.id LIMIT ?
"""
_COUNT_UNEMBEDDED = """
SELECT count(*) FROM passages LEFT JOIN vectors ON passage_id = passages.id
WHERE passages.collection_id = ? AND passage_id IS NULL
"""
# Equal texts get their vectors together, in every collection of the same embedder.
_ADD_VECTOR = """
INSERT INTO vectors (passage_id, collection_id, seq, vector)
SELECT same.id, same.collection_id, ?1, ?2
FROM passages AS embedded
JOIN passages AS same ON same.text_hash = embedded.text_hash
LEFT JOIN vectors ON vectors.passage_id = same.id
WHERE embedded.id = ?3 AND vectors.passage_id IS NULL AND same.collection_id IN (SELECT value FROM json_each(?4))
"""
_TAKE_OVER = """
INSERT INTO vectors (passage_id, collection_id, seq, vector)
SELECT new.id, new.collection_id, ?1, vectors.vector
FROM passages AS new
JOIN passages AS old ON old.text_hash = new.text_hash AND old.collection_id <> new.collection_id
JOIN collections ON collections.id = old.collection_id AND embedder = ?3
JOIN vectors ON vectors.passage_id = old.id
WHERE new.collection_id = ?2
GROUP BY new.id
"""
_SAME_EMBEDDER = """
SELECT id FROM collections WHERE embedder = (SELECT embedder FROM collections WHERE id = ?)
"""
_VECTORS = """
SELECT passage_id, vector FROM vectors
WHERE passage_id IN (SELECT value FROM json_each(?)) AND +collection_id IN (SELECT value FROM json_each(?))
"""
_ALL_VECTORS = """
SELECT passage_id, vector FROM vectors WHERE collection_id = ? AND passage_id > ? ORDER BY passage_id LIMIT ?
"""
_REMOVED_VECTORS = "SELECT passage_id FROM tombstones WHERE collection_id = ? AND seq > ? AND seq <= ?"
_ADDED_VECTORS = """
SELECT passage_id, vector, seq FROM vectors
WHERE collection_id = ?1 AND (seq > ?2 OR (seq = ?2 AND passage_id > ?3)) AND seq <= ?4
ORDER BY seq, passage_id LIMIT ?5
"""
_WRITE_INDEX_FILE = """
INSERT OR REPLACE INTO index_files (collection_id, name, last_seq, count, dimension, xxh3, total)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class UnembeddedPassage:
    """A passage without a vector, and the text to embed."""

    id: int
    text: str


class VectorStore:
    """The vectors of all passages. Every method may raise DatabaseDamaged and DatabaseUnusable."""

    def __init__(self, write_db: Database, read_db: Database) -> None:
        self._write_db = write_db
        self._read_db = read_db

    async def fingerprints(self) -> dict[int, str]:
        """The fingerprint of the embedder that made each collection's vectors, by id; empty before the first."""
        return dict(await self._write_db.fetch_rows("SELECT id, embedder FROM collections"))

    async def reset_vectors(self, collection: int, fingerprint: str) -> None:
        """Delete the vectors of a collection, record the embedder that makes the next ones, and take over what that one
        has made for equal texts in other collections.
        """
        async with self._write_db.transaction() as db:
            seq = await next_seq(db)
            for table in ("vectors", "tombstones", "index_files"):
                await db.execute(f"DELETE FROM {table} WHERE collection_id = ?", (collection,))  # noqa: S608 - fixed names
            await db.execute("UPDATE collections SET embedder = ? WHERE id = ?", (fingerprint, collection))
            await db.execute(_TAKE_OVER, (seq, collection, fingerprint))

    async def count_unembedded(self, collection: int) -> int:
        """The number of a collection's passages without a vector."""
        (count,) = await self._write_db.fetch_row(_COUNT_UNEMBEDDED, (collection,))
        return int(count)

    async def unembedded_passages(self, collection: int, after: int, limit: int) -> list[UnembeddedPassage]:
        """Passages without a vector in order of their ids, from above `after`, at most `limit`."""
        rows = await self._write_db.fetch_rows(_UNEMBEDDED, (collection, after, limit))
        return [
            UnembeddedPassage(key, text_to_embed(title, json.loads(heading), text))
            for key, title, heading, text in rows
        ]

    async def add_vectors(self, collection: int, vectors: Sequence[VectorRow]) -> int:
        """Store the vectors of passages that have none, and of all others with the same text in this collection and in
        those with the same embedder, but for passages that were deleted meanwhile. The number of the collection's own.
        """
        keys = json.dumps([key for (key,) in await self._write_db.fetch_rows(_SAME_EMBEDDER, (collection,))])
        async with self._write_db.transaction() as db:
            seq = await next_seq(db)
            await db.executemany(_ADD_VECTOR, [(seq, vector, key, keys) for key, vector in vectors])
        (added,) = await self._write_db.fetch_row(
            "SELECT count(*) FROM vectors WHERE collection_id = ? AND seq = ?", (collection, seq)
        )
        return int(added)

    async def get_vectors(self, ids: Collection[int], collections: Collection[int]) -> dict[int, bytes]:
        """The stored vectors of those passages that have one and are in one of the collections, by passage id."""
        return dict(await self._read_db.fetch_rows(_VECTORS, (json.dumps(list(ids)), json.dumps(list(collections)))))

    async def last_seq(self) -> int:
        """The number of the last change; an index that is complete up to it is up to date."""
        return await last_seq(self._read_db)

    async def all_vectors(self, collection: int, page_size: int) -> AsyncIterator[list[VectorRow]]:
        """All vectors of a collection in pages, by passage id."""
        after = -1
        while rows := await self._read_db.fetch_rows(_ALL_VECTORS, (collection, after, page_size)):
            after = rows[-1][0]
            yield rows

    async def added_vectors(
        self, collection: int, since: int, until: int, page_size: int
    ) -> AsyncIterator[list[VectorRow]]:
        """Vectors added by the changes after `since` up to `until`, in pages, oldest change first."""
        position = (since, 2**62)
        while rows := await self._read_db.fetch_rows(_ADDED_VECTORS, (collection, *position, until, page_size)):
            position = (rows[-1][2], rows[-1][0])
            yield [(key, vector) for key, vector, _ in rows]

    async def removed_ids(self, collection: int, since: int, until: int) -> list[int]:
        """Passages deleted by the changes after `since` up to `until`."""
        return [key for (key,) in await self._read_db.fetch_rows(_REMOVED_VECTORS, (collection, since, until))]

    async def index_files(self) -> dict[int, IndexFile]:
        """The records of saved index files, by collection."""
        rows = await self._write_db.fetch_rows(
            "SELECT collection_id, name, last_seq, count, dimension, xxh3, total FROM index_files"
        )
        return {row[0]: IndexFile(*row[1:]) for row in rows}

    async def record_index_file(self, collection: int, file: IndexFile) -> None:
        """Store the record of a saved index file, and delete the tombstones that it has taken into account."""
        columns = (collection, file.name, file.last_seq, file.count, file.dimension, file.xxh3, file.total)
        async with self._write_db.transaction() as db:
            await db.execute(_WRITE_INDEX_FILE, columns)
            await db.execute("DELETE FROM tombstones WHERE collection_id = ? AND seq <= ?", (collection, file.last_seq))

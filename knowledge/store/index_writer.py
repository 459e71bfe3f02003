"""Writes the results of a reindex: files, documents and passages, each change in one transaction."""

import json
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import aiosqlite

from knowledge.passages import LeftOut
from knowledge.prepared_documents import PreparedDocument
from knowledge.sqlite import Database
from knowledge.store.sequence import next_seq

_ROWS = 500
"""Rows handed to the database at once; the event loop builds their parameters."""

_UPSERT_FILE = """
INSERT INTO files (collection_id, path, size_bytes, mtime_ns, inode, hash, read_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (collection_id, path) DO UPDATE SET
    size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, inode = excluded.inode, hash = excluded.hash,
    read_at = excluded.read_at, error = NULL
RETURNING id
"""
_RECORD_FAILURE = """
INSERT INTO files (collection_id, path, size_bytes, mtime_ns, inode, error) VALUES (?, ?, 0, 0, 0, ?)
ON CONFLICT (collection_id, path) DO UPDATE SET hash = NULL, error = excluded.error
"""
_INDEXED_FILES = """
SELECT files.id, path, size_bytes, mtime_ns, inode, COALESCE(files.hash, ''), count(documents.id), unread
FROM files LEFT JOIN documents ON file_id = files.id WHERE collection_id = ? GROUP BY files.id
"""
_INSERT_DOCUMENT = "INSERT INTO documents (id, file_id, name, title, language, hash) VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_PASSAGE = """
INSERT INTO passages (id, document_id, collection_id, heading, page, row, start, end, text, text_hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_WORDS = "INSERT INTO words (rowid, title, heading, text) VALUES (?, ?, ?, ?)"
_INSERT_NAMES = "INSERT INTO names (rowid, path, codes) VALUES (?, ?, ?)"
_REUSE_VECTORS = """
INSERT INTO vectors (passage_id, collection_id, seq, vector)
SELECT new.id, new.collection_id, ?1, (
    SELECT vector FROM passages AS old JOIN vectors ON passage_id = old.id
    WHERE old.text_hash = new.text_hash AND old.collection_id IN (SELECT value FROM json_each(?4)) LIMIT 1
)
FROM passages AS new
WHERE new.id >= ?2 AND new.id < ?3 AND EXISTS (
    SELECT 1 FROM passages AS old JOIN vectors ON passage_id = old.id
    WHERE old.text_hash = new.text_hash AND old.collection_id IN (SELECT value FROM json_each(?4))
)
"""
_SAME_EMBEDDER = """
SELECT id FROM collections WHERE embedder = (SELECT embedder FROM collections WHERE id = ?) AND embedder <> ''
"""
_UNCONFIGURED = """
SELECT id, name, (SELECT count(*) FROM documents JOIN files ON files.id = file_id WHERE collection_id = collections.id)
FROM collections WHERE name NOT IN (SELECT value FROM json_each(?)) ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file as the last reindex left it. `hash` is empty when it must be read again.

    `unread`: which part of it was not read, and why; empty for none.
    """

    id: int
    path: str
    size_bytes: int
    mtime_ns: int
    inode: int
    hash: str
    documents: int
    unread: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file as it is now."""

    path: str
    size_bytes: int
    mtime_ns: int
    inode: int
    hash: str


@dataclass(frozen=True, slots=True)
class OtherCollection:
    """A collection that the settings do not name, with the number of its documents."""

    id: int
    name: str
    documents: int


@dataclass(frozen=True, slots=True)
class FileChange:
    """The effect of writing or removing a file, in documents."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0


class IndexWriter:
    """Writes files, documents and passages. A passage whose embedded text is known already gets its vector at once.

    Every method may raise DatabaseDamaged and DatabaseUnusable.
    """

    def __init__(self, write_db: Database) -> None:
        self._db = write_db

    async def add_collections(self, names: Collection[str]) -> dict[str, int]:
        """Create the collections named where they are missing; their ids, by name. All others stay as they are."""
        async with self._db.transaction() as db:
            await db.executemany("INSERT OR IGNORE INTO collections (name) VALUES (?)", [(name,) for name in names])
        rows = await self._db.fetch_rows("SELECT name, id FROM collections")
        return {name: key for name, key in rows if name in names}

    async def other_collections(self, names: Collection[str]) -> list[OtherCollection]:
        """The collections that are not named, by name."""
        rows = await self._db.fetch_rows(_UNCONFIGURED, (json.dumps(list(names)),))
        return [OtherCollection(*row) for row in rows]

    async def remove_collections(self, collections: Collection[int]) -> None:
        """Delete collections with everything in them."""
        async with self._db.transaction() as db:
            await db.executemany("DELETE FROM collections WHERE id = ?", [(key,) for key in collections])

    async def mounts(self, collection: int) -> frozenset[str]:
        """The folders of a collection that were mounted file systems when it was last read; '' is its own folder."""
        rows = await self._db.fetch_rows("SELECT path FROM mounts WHERE collection_id = ?", (collection,))
        return frozenset(path for (path,) in rows)

    async def set_mounts(self, collection: int, mounts: Collection[str]) -> None:
        """Replace the mounted folders of a collection."""
        async with self._db.transaction() as db:
            await db.execute("DELETE FROM mounts WHERE collection_id = ?", (collection,))
            await db.executemany("INSERT INTO mounts VALUES (?, ?)", [(collection, path) for path in mounts])

    async def set_left_out(self, collection: int, left_out: Collection[LeftOut]) -> None:
        """Replace the record of what the last scan of a collection left out."""
        rows = [(collection, each.cause, each.name, each.count) for each in left_out]
        async with self._db.transaction() as db:
            await db.execute("DELETE FROM left_out WHERE collection_id = ?", (collection,))
            await db.executemany("INSERT INTO left_out VALUES (?, ?, ?, ?)", rows)

    async def indexed_files(self, collection: int) -> dict[str, IndexedFile]:
        """Every file recorded of a collection, by path."""
        rows = await self._db.fetch_rows(_INDEXED_FILES, (collection,))
        return {row[1]: IndexedFile(*row) for row in rows}

    async def update_file_facts(self, collection: int, files: Sequence[FileFacts]) -> None:
        """Store new sizes and times of files whose content is the same."""
        async with self._db.transaction() as db:
            await db.executemany(
                "UPDATE files SET size_bytes = ?, mtime_ns = ?, inode = ? WHERE collection_id = ? AND path = ?",
                [(file.size_bytes, file.mtime_ns, file.inode, collection, file.path) for file in files],
            )

    async def record_failure(self, collection: int, path: str, reason: str) -> None:
        """Record that a file could not be read. Its stored documents stay; the next reindex tries again."""
        async with self._db.transaction() as db:
            await db.execute(_RECORD_FAILURE, (collection, path, reason))

    async def remove_files(self, files: Collection[IndexedFile]) -> None:
        """Delete the records of files that are gone, with their documents."""
        async with self._db.transaction() as db:
            await next_seq(db)
            await db.executemany("DELETE FROM files WHERE id = ?", [(file.id,) for file in files])

    async def write_file(
        self,
        collection: int,
        facts: FileFacts,
        documents: AsyncIterator[Sequence[PreparedDocument]],
        unread: str = "",
    ) -> FileChange:
        """Store a file's documents in one transaction; unchanged ones are left alone.

        `unread`: which part of the file was not read, and why.
        `documents` come in batches and are not kept: a table of 50,000 rows held at once makes Python's garbage
        collector stop all threads for 150 ms at a time.
        """
        added, unchanged, changed, seen = 0, 0, list[int](), set[str]()
        async with self._db.transaction() as db:
            seq = await next_seq(db)
            file = await _upsert_file(db, collection, facts)
            await db.execute("UPDATE files SET unread = ? WHERE id = ?", (unread, file))
            rows = await self._db.fetch_rows("SELECT name, id, hash FROM documents WHERE file_id = ?", (file,))
            known = {name: (key, digest) for name, key, digest in rows}
            async for batch in documents:
                fresh = [new for new in batch if known.get(new.document.document, (0, ""))[1] != new.hash]
                await self._insert(db, file, collection, fresh, seq)
                old = [known[new.document.document][0] for new in fresh if new.document.document in known]
                changed += old
                added += len(fresh) - len(old)
                unchanged += len(batch) - len(fresh)
                seen.update(new.document.document for new in batch)
            # The old passages go last, so that new ones with the same text can take over their vectors.
            gone = [known[name][0] for name in known.keys() - seen]
            await db.executemany("DELETE FROM documents WHERE id = ?", [(key,) for key in (*changed, *gone)])
        return FileChange(added, len(changed), len(gone), unchanged)

    async def _insert(
        self, db: aiosqlite.Connection, file: int, collection: int, documents: Sequence[PreparedDocument], seq: int
    ) -> None:
        (last_document,) = await self._db.fetch_row("SELECT COALESCE(max(id), 0) FROM documents")
        rows = await self._db.fetch_rows("SELECT seq FROM sqlite_sequence WHERE name = 'passages'")
        first = rows[0][0] + 1 if rows else 1
        numbered = list(enumerate(documents, start=last_document + 1))
        await db.executemany(
            _INSERT_DOCUMENT, [(key, file, *_document_columns(document)) for key, document in numbered]
        )
        drafts = [(key, document, n) for key, document in numbered for n in range(len(document.document.drafts))]
        for start in range(0, len(drafts), _ROWS):
            part = list(enumerate(drafts[start : start + _ROWS], start=first + start))
            passages = [(key, owner, collection, *_passage_columns(document, n)) for key, (owner, document, n) in part]
            await db.executemany(_INSERT_PASSAGE, passages)
            await db.executemany(_INSERT_WORDS, [(key, *document.words(n)) for key, (_, document, n) in part])
            await db.executemany(_INSERT_NAMES, [(key, *document.names(n)) for key, (_, document, n) in part])
        same_embedder = [key for (key,) in await self._db.fetch_rows(_SAME_EMBEDDER, (collection,))]
        await db.execute(_REUSE_VECTORS, (seq, first, first + len(drafts), json.dumps(same_embedder)))


async def _upsert_file(db: aiosqlite.Connection, collection: int, facts: FileFacts) -> int:
    columns = (collection, facts.path, facts.size_bytes, facts.mtime_ns, facts.inode, facts.hash, time.time())
    rows = list(await db.execute_fetchall(_UPSERT_FILE, columns))
    return int(rows[0][0])


def _document_columns(document: PreparedDocument) -> tuple[str, ...]:
    read = document.document
    return read.document, read.title, read.language, document.hash


def _passage_columns(document: PreparedDocument, number: int) -> tuple[Any, ...]:
    draft, text_hash = document.document.drafts[number], document.text_hashes[number]
    place = draft.place
    return json.dumps(place.heading), place.page, place.row, place.start, place.end, draft.text, text_hash

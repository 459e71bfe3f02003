"""What a reindex writes: files, documents with their passages, and vectors, each change in one transaction."""

import json
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiosqlite
import xxhash

from knowledge.embedding import text_to_embed
from knowledge.lexical import WordStemmer
from knowledge.reader import PassageDraft, ReadDocument
from knowledge.store import KnowledgeStore

_ROWS = 500
"""Rows handed to the database at once; the event loop builds their parameters."""


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file as the last reindex left it. `hash` is empty when it must be read again."""

    id: int
    path: str
    size_bytes: int
    mtime_ns: int
    inode: int
    hash: str
    documents: int


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file as it is now."""

    path: str
    size_bytes: int
    mtime_ns: int
    inode: int
    hash: str


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document ready to be stored: its hash, and per draft the hash of what is embedded and the stems."""

    document: ReadDocument
    hash: str
    drafts: tuple[tuple[PassageDraft, bytes, str], ...]
    title_stems: str
    heading_stems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileChange:
    """What writing or removing a file did, in documents."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class UnembeddedPassage:
    """A passage without a vector, and the text to embed."""

    id: int
    text: str


def prepare_documents(documents: Sequence[ReadDocument], lexicon: WordStemmer) -> Iterator[PreparedDocument]:
    """Stem and hash documents; runs on the thread that owns the lexicon."""
    for document in documents:
        drafts = tuple(
            (
                draft,
                xxhash.xxh3_128_digest(text_to_embed(document.title, draft.place.heading, draft.text).encode()),
                lexicon.stem_text(draft.text, document.language),
            )
            for draft in document.drafts
        )
        yield PreparedDocument(
            document,
            _document_hash(document),
            drafts,
            lexicon.stem_text(document.title, document.language),
            tuple(lexicon.stem_text(" ".join(draft.place.heading), document.language) for draft in document.drafts),
        )


class IndexWriter:
    """Writes what a reindex finds. Passages whose embedded text is known already get its vector at once."""

    def __init__(self, store: KnowledgeStore) -> None:
        self._db = store.write_db

    async def indexed_files(self, collection: int) -> dict[str, IndexedFile]:
        """Every file known of a collection, by path."""
        rows = await self._db.fetch_rows(
            "SELECT files.id, path, size_bytes, mtime_ns, inode, COALESCE(files.hash, ''), count(documents.id)"
            " FROM files LEFT JOIN documents ON file_id = files.id WHERE collection_id = ? GROUP BY files.id",
            (collection,),
        )
        return {row[1]: IndexedFile(*row) for row in rows}

    async def update_file_facts(self, collection: int, files: Sequence[FileFacts]) -> None:
        """Note new sizes and times of files whose content is the same."""
        async with self._db.transaction() as db:
            await db.executemany(
                "UPDATE files SET size_bytes = ?, mtime_ns = ?, inode = ? WHERE collection_id = ? AND path = ?",
                [(file.size_bytes, file.mtime_ns, file.inode, collection, file.path) for file in files],
            )

    async def record_failure(self, collection: int, path: str, reason: str) -> None:
        """Note that a file could not be read. What was known of it stays; the next reindex tries again."""
        async with self._db.transaction() as db:
            await db.execute(
                "INSERT INTO files (collection_id, path, size_bytes, mtime_ns, inode, error) VALUES (?, ?, 0, 0, 0, ?)"
                " ON CONFLICT (collection_id, path) DO UPDATE SET hash = NULL, error = excluded.error",
                (collection, path, reason),
            )

    async def remove_files(self, files: Collection[IndexedFile]) -> None:
        """Forget files that are gone, with their documents."""
        async with self._db.transaction() as db:
            await _next_seq(db)
            await db.executemany("DELETE FROM files WHERE id = ?", [(file.id,) for file in files])

    async def write_file(
        self, collection: int, facts: FileFacts, documents: AsyncIterator[Sequence[PreparedDocument]]
    ) -> FileChange:
        """Store a file as it was read, in one transaction; documents that are as before are not touched.

        `documents` come in batches and are not kept: a table of 50,000 rows held at once makes Python's garbage
        collector stop all threads for 150 ms at a time.
        """
        added, unchanged, changed, seen = 0, 0, list[int](), set[str]()
        async with self._db.transaction() as db:
            seq = await _next_seq(db)
            file = await _upsert_file(db, collection, facts)
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
            # The old passages go last, so that the new ones which say the same can take over their vectors.
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
        drafts = [(key, document, n) for key, document in numbered for n in range(len(document.drafts))]
        for start in range(0, len(drafts), _ROWS):
            part = list(enumerate(drafts[start : start + _ROWS], start=first + start))
            passages = [(key, owner, collection, *_columns(document, n)) for key, (owner, document, n) in part]
            await db.executemany(_INSERT_PASSAGE, passages)
            await db.executemany(_INSERT_WORDS, [(key, *_stems(document, n)) for key, (_, document, n) in part])
        await db.execute(_REUSE_VECTORS, (seq, first, first + len(drafts)))

    async def unembedded_passages(self, collection: int, after: int, limit: int) -> list[UnembeddedPassage]:
        """Passages without a vector in order of their ids, from above `after`, at most `limit`."""
        rows = await self._db.fetch_rows(_UNEMBEDDED, (collection, after, limit))
        return [
            UnembeddedPassage(key, text_to_embed(title, json.loads(heading), text))
            for key, title, heading, text in rows
        ]

    async def count_unembedded(self, collection: int) -> int:
        """How many passages have no vector."""
        (count,) = await self._db.fetch_row(
            "SELECT count(*) FROM passages LEFT JOIN vectors ON passage_id = passages.id"
            " WHERE passages.collection_id = ? AND passage_id IS NULL",
            (collection,),
        )
        return int(count)

    async def add_vectors(self, collection: int, vectors: Sequence[tuple[int, bytes]]) -> None:
        """Store vectors (passage id, packed); those of passages that went meanwhile are dropped."""
        async with self._db.transaction() as db:
            seq = await _next_seq(db)
            await db.executemany(
                "INSERT OR REPLACE INTO vectors (passage_id, collection_id, seq, vector)"
                " SELECT id, ?, ?, ? FROM passages WHERE id = ?",
                [(collection, seq, vector, key) for key, vector in vectors],
            )

    async def stored_fingerprint(self) -> str:
        """The embedder that made the stored vectors; empty before the first."""
        rows = await self._db.fetch_rows("SELECT value FROM facts WHERE name = 'embedder'")
        return str(rows[0][0]) if rows else ""

    async def reset_vectors(self, fingerprint: str) -> None:
        """Drop all vectors: another embedder makes them from now on."""
        async with self._db.transaction() as db:
            for table in ("vectors", "tombstones", "index_files"):
                await db.execute(f"DELETE FROM {table}")  # noqa: S608 - three fixed names
            await db.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('embedder', ?)", (fingerprint,))


_INSERT_DOCUMENT = "INSERT INTO documents (id, file_id, name, title, language, hash) VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_PASSAGE = """
INSERT INTO passages (id, document_id, collection_id, heading, page, row, start, end, text, text_hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_WORDS = "INSERT INTO words (rowid, title, heading, text) VALUES (?, ?, ?, ?)"

_REUSE_VECTORS = """
INSERT INTO vectors (passage_id, collection_id, seq, vector)
SELECT new.id, new.collection_id, ?1, (
    SELECT vector FROM passages AS old JOIN vectors ON passage_id = old.id WHERE old.text_hash = new.text_hash LIMIT 1
)
FROM passages AS new
WHERE new.id >= ?2 AND new.id < ?3 AND EXISTS (
    SELECT 1 FROM passages AS old JOIN vectors ON passage_id = old.id WHERE old.text_hash = new.text_hash
)
"""

_UNEMBEDDED = """
SELECT passages.id, title, heading, text
FROM passages
JOIN documents ON documents.id = document_id
LEFT JOIN vectors ON passage_id = passages.id
WHERE passages.collection_id = ? AND passages.id > ? AND passage_id IS NULL
ORDER BY passages.id LIMIT ?
"""


async def _next_seq(db: aiosqlite.Connection) -> int:
    rows = list(await db.execute_fetchall("UPDATE sequence SET value = value + 1 RETURNING value"))
    return int(rows[0][0])


async def _upsert_file(db: aiosqlite.Connection, collection: int, facts: FileFacts) -> int:
    rows = list(
        await db.execute_fetchall(
            "INSERT INTO files (collection_id, path, size_bytes, mtime_ns, inode, hash) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (collection_id, path) DO UPDATE SET size_bytes = excluded.size_bytes,"
            " mtime_ns = excluded.mtime_ns, inode = excluded.inode, hash = excluded.hash, error = NULL RETURNING id",
            (collection, facts.path, facts.size_bytes, facts.mtime_ns, facts.inode, facts.hash),
        )
    )
    return int(rows[0][0])


def _document_columns(document: PreparedDocument) -> tuple[str, ...]:
    read = document.document
    return read.document, read.title, read.language, document.hash


def _stems(document: PreparedDocument, number: int) -> tuple[str, str, str]:
    return document.title_stems, document.heading_stems[number], document.drafts[number][2]


def _columns(document: PreparedDocument, number: int) -> tuple[Any, ...]:
    draft, text_hash, _ = document.drafts[number]
    place = draft.place
    return json.dumps(place.heading), place.page, place.row, place.start, place.end, draft.text, text_hash


def _document_hash(document: ReadDocument) -> str:
    digest = xxhash.xxh3_128(repr((document.title, document.language)).encode())
    for draft in document.drafts:
        digest.update(repr((draft.place, draft.text)).encode())
    return digest.hexdigest()

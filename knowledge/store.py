"""What is stored of the collections: the database's two connections, and every question a search asks of it."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from knowledge.lexical import fts5_query
from knowledge.passages import CollectionState, Passage, PassageLocation
from knowledge.sqlite import Database

DATABASE_FILE_NAME = "knowledge.sqlite3"
MIGRATIONS = Path(__file__).parent / "migrations"
_WAY_OUT = "It holds nothing that cannot be made again: move it away, start Hearth and run `hearth index`."

_BM25_WEIGHTS = (2.0, 2.0, 1.0)
"""How much a word counts in title, heading, text; 1 to 4 for titles differ by less than 0.02 nDCG (0003-fusion.md)."""

_MATCHING = """
SELECT words.rowid, -bm25(words, ?, ?, ?) AS score
FROM words JOIN passages ON passages.id = words.rowid
WHERE words MATCH ? AND collection_id IN (SELECT value FROM json_each(?))
ORDER BY score DESC, words.rowid LIMIT ?
"""
# The plus keeps FTS5 from asking once for each rowid: every asking counts all words anew for bm25 (30,000 passages, 80
# ids, common words: 103 ms; so, in one pass, 4 ms).
_SCORING = """
SELECT rowid, -bm25(words, ?, ?, ?) FROM words WHERE words MATCH ? AND +rowid IN (SELECT value FROM json_each(?))
"""
_PASSAGES = """
SELECT passages.id, collections.name, documents.name, documents.title, heading, page, row, start, end, text
FROM passages
JOIN documents ON documents.id = document_id
JOIN collections ON collections.id = passages.collection_id
WHERE passages.id IN (SELECT value FROM json_each(?))
"""


class KnowledgeStore:
    """The knowledge database. `read_db` never waits for a change in progress; `write_db` is the only one that
    changes.
    """

    def __init__(self, writes: Database, reads: Database) -> None:
        self.write_db = writes
        self.read_db = reads

    @classmethod
    async def open(cls, folder: Path) -> "KnowledgeStore":
        """Open or create `knowledge.sqlite3`. Raises DatabaseTooNew, DatabaseDamaged, DatabaseUnusable."""
        path = folder / DATABASE_FILE_NAME
        writes = await Database.open(path, MIGRATIONS, way_out=_WAY_OUT, check=True)
        try:
            reads = await Database.open(path, MIGRATIONS, way_out=_WAY_OUT, read_only=True)
        except BaseException:
            await writes.close()
            raise
        return cls(writes, reads)

    async def close(self) -> None:
        """Close both connections."""
        await self.read_db.close()
        await self.write_db.close()

    async def set_collections(self, names: Collection[str]) -> dict[str, int]:
        """The ids of the collections named, made where new. All others go, with everything known of them."""
        async with self.write_db.transaction() as db:
            known = {name: key for key, name in await self.write_db.fetch_rows("SELECT id, name FROM collections")}
            await db.executemany(
                "DELETE FROM collections WHERE id = ?", [(known[n],) for n in known.keys() - set(names)]
            )
            await db.executemany("INSERT OR IGNORE INTO collections (name) VALUES (?)", [(name,) for name in names])
        return {name: key for key, name in await self.write_db.fetch_rows("SELECT id, name FROM collections")}

    async def match_passages(
        self, terms: Sequence[frozenset[str]], collections: Collection[int], limit: int
    ) -> dict[int, float]:
        """The passages with any of the terms and their BM25 scores (positive), best first."""
        expression = fts5_query(terms)
        if not expression:
            return {}
        rows = await self.read_db.fetch_rows(
            _MATCHING, (*_BM25_WEIGHTS, expression, json.dumps(list(collections)), limit)
        )
        return dict(rows)

    async def bm25_scores(self, terms: Sequence[frozenset[str]], ids: Collection[int]) -> dict[int, float]:
        """The BM25 scores of those of the passages that have any of the terms."""
        expression = fts5_query(terms)
        if not expression:
            return {}
        return dict(await self.read_db.fetch_rows(_SCORING, (*_BM25_WEIGHTS, expression, json.dumps(list(ids)))))

    async def document_frequencies(self, terms: Sequence[frozenset[str]]) -> list[int]:
        """For each term, in how many passages its most frequent form occurs."""
        forms = sorted(frozenset[str]().union(*terms))
        rows = await self.read_db.fetch_rows(
            "SELECT term, doc FROM vocabulary WHERE term IN (SELECT value FROM json_each(?))", (json.dumps(forms),)
        )
        found: dict[str, int] = dict(rows)
        return [max(found.get(form, 0) for form in term) for term in terms]

    async def count_passages(self) -> int:
        """How many passages there are in all."""
        (count,) = await self.read_db.fetch_row("SELECT count(*) FROM passages")
        return int(count)

    async def document_languages(self) -> set[str]:
        """The languages of the documents."""
        return {language for (language,) in await self.read_db.fetch_rows("SELECT DISTINCT language FROM documents")}

    async def get_vectors(self, ids: Collection[int]) -> dict[int, bytes]:
        """The stored vectors of those passages that have one."""
        rows = await self.read_db.fetch_rows(
            "SELECT passage_id, vector FROM vectors WHERE passage_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        return dict(rows)

    async def existing_ids(self, ids: Collection[int]) -> set[int]:
        """Those of the passages that exist."""
        rows = await self.read_db.fetch_rows(
            "SELECT id FROM passages WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )
        return {key for (key,) in rows}

    async def get_passages(self, ids: Collection[int]) -> dict[int, Passage]:
        """The passages that exist, by id."""
        rows = await self.read_db.fetch_rows(_PASSAGES, (json.dumps(list(ids)),))
        return {row[0]: _passage(row) for row in rows}

    async def collection_states(self, ready: Mapping[str, bool]) -> tuple[CollectionState, ...]:
        """What is indexed of each collection, by name; `ready` says whose vector index is complete."""
        rows = await self.read_db.fetch_rows(
            "SELECT name,"
            " (SELECT count(*) FROM documents JOIN files ON files.id = file_id WHERE collection_id = collections.id),"
            " (SELECT count(*) FROM passages WHERE collection_id = collections.id),"
            " (SELECT count(*) FROM files WHERE collection_id = collections.id AND error IS NOT NULL)"
            " FROM collections ORDER BY name"
        )
        return tuple(
            CollectionState(name, documents, passages, failed, ready.get(name, False))
            for name, documents, passages, failed in rows
        )


def _passage(row: Sequence[Any]) -> Passage:
    key, collection, document, title, heading, page, number, start, end, text = row
    return Passage(
        key, collection, document, title, PassageLocation(tuple(json.loads(heading)), page, number, start, end), text
    )

"""What is stored of the collections: the database's two connections, and every question a search asks of it."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from knowledge.lexical import match_expression
from knowledge.passages import CollectionState, Passage, Place
from knowledge.sqlite import Database

FILE_NAME = "knowledge.sqlite3"
MIGRATIONS = Path(__file__).parent / "migrations"
_WAY_OUT = "It holds nothing that cannot be made again: move it away, start Hearth and run `hearth index`."

_WEIGHTS = (2.0, 2.0, 1.0)
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


class Store:
    """The knowledge database. `reads` never waits for a change in progress; `writes` is the only one that changes."""

    def __init__(self, writes: Database, reads: Database) -> None:
        self.writes = writes
        self.reads = reads

    @classmethod
    async def open(cls, folder: Path) -> "Store":
        """Open or create `knowledge.sqlite3`. Raises DatabaseTooNew, DatabaseDamaged, DatabaseUnusable."""
        path = folder / FILE_NAME
        writes = await Database.open(path, MIGRATIONS, way_out=_WAY_OUT, check=True)
        try:
            reads = await Database.open(path, MIGRATIONS, way_out=_WAY_OUT, read_only=True)
        except BaseException:
            await writes.close()
            raise
        return cls(writes, reads)

    async def close(self) -> None:
        """Close both connections."""
        await self.reads.close()
        await self.writes.close()

    async def keep_collections(self, names: Collection[str]) -> dict[str, int]:
        """The ids of the collections named, made where new. All others go, with everything known of them."""
        async with self.writes.transaction() as db:
            known = {name: key for key, name in await self.writes.rows("SELECT id, name FROM collections")}
            await db.executemany(
                "DELETE FROM collections WHERE id = ?", [(known[n],) for n in known.keys() - set(names)]
            )
            await db.executemany("INSERT OR IGNORE INTO collections (name) VALUES (?)", [(name,) for name in names])
        return {name: key for key, name in await self.writes.rows("SELECT id, name FROM collections")}

    async def matching(
        self, terms: Sequence[frozenset[str]], collections: Collection[int], limit: int
    ) -> dict[int, float]:
        """The passages with any of the terms and their BM25 scores (positive), best first."""
        expression = match_expression(terms)
        if not expression:
            return {}
        rows = await self.reads.rows(_MATCHING, (*_WEIGHTS, expression, json.dumps(list(collections)), limit))
        return dict(rows)

    async def bm25(self, terms: Sequence[frozenset[str]], ids: Collection[int]) -> dict[int, float]:
        """The BM25 scores of those of the passages that have any of the terms."""
        expression = match_expression(terms)
        if not expression:
            return {}
        return dict(await self.reads.rows(_SCORING, (*_WEIGHTS, expression, json.dumps(list(ids)))))

    async def frequencies(self, terms: Sequence[frozenset[str]]) -> list[int]:
        """For each term, in how many passages its most frequent form occurs."""
        forms = sorted(frozenset[str]().union(*terms))
        rows = await self.reads.rows(
            "SELECT term, doc FROM vocabulary WHERE term IN (SELECT value FROM json_each(?))", (json.dumps(forms),)
        )
        found: dict[str, int] = dict(rows)
        return [max(found.get(form, 0) for form in term) for term in terms]

    async def count(self) -> int:
        """How many passages there are in all."""
        (count,) = await self.reads.row("SELECT count(*) FROM passages")
        return int(count)

    async def languages(self) -> set[str]:
        """The languages of the documents."""
        return {language for (language,) in await self.reads.rows("SELECT DISTINCT language FROM documents")}

    async def vectors(self, ids: Collection[int]) -> dict[int, bytes]:
        """The stored vectors of those passages that have one."""
        rows = await self.reads.rows(
            "SELECT passage_id, vector FROM vectors WHERE passage_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        return dict(rows)

    async def existing(self, ids: Collection[int]) -> set[int]:
        """Those of the passages that exist."""
        rows = await self.reads.rows(
            "SELECT id FROM passages WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )
        return {key for (key,) in rows}

    async def passages(self, ids: Collection[int]) -> dict[int, Passage]:
        """The passages that exist, by id."""
        rows = await self.reads.rows(_PASSAGES, (json.dumps(list(ids)),))
        return {row[0]: _passage(row) for row in rows}

    async def states(self, ready: Mapping[str, bool]) -> tuple[CollectionState, ...]:
        """What is indexed of each collection, by name; `ready` says whose vector index is complete."""
        rows = await self.reads.rows(
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
    return Passage(key, collection, document, title, Place(tuple(json.loads(heading)), page, number, start, end), text)

"""Queries of a search: full-text matches, BM25 scores, passages, and counts per collection."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from knowledge.lexical import fts5_query
from knowledge.passages import CollectionState, FileState, LeftOut, Passage, PassageLocation
from knowledge.sqlite import Database

_WORD_WEIGHTS = (2.0, 2.0, 1.0)
"""Weights of title, heading and text; 1 to 4 for titles differ by less than 0.02 nDCG (0003-fusion.md)."""
_NAME_WEIGHTS = (1.0, 2.0)
"""Weights of path and codes."""
_NAME_SHARE = 0.7
"""What a name counts: a path that has the question's words supports an answer, but a text that has them comes first."""

_MATCHING = """
SELECT found.rowid, sum(score) AS total FROM (
    SELECT rowid, -bm25(words, ?1, ?2, ?3) AS score FROM words WHERE words MATCH ?4
    UNION ALL SELECT rowid, ?5 * -bm25(names, ?6, ?7) FROM names WHERE names MATCH ?4
) AS found JOIN passages ON passages.id = found.rowid
WHERE collection_id IN (SELECT value FROM json_each(?8))
GROUP BY found.rowid ORDER BY total DESC, found.rowid LIMIT ?9
"""
# The plus keeps FTS5 from one lookup per rowid, each of which counts all words again for bm25 (30,000 passages, 80 ids,
# common words: 103 ms; in one pass 4 ms).
_SCORING = """
SELECT id, sum(score) FROM (
    SELECT rowid AS id, -bm25(words, ?1, ?2, ?3) AS score FROM words
    WHERE words MATCH ?4 AND +rowid IN (SELECT value FROM json_each(?8))
    UNION ALL SELECT rowid, ?5 * -bm25(names, ?6, ?7) FROM names
    WHERE names MATCH ?4 AND +rowid IN (SELECT value FROM json_each(?8))
) GROUP BY id
"""
_FREQUENCIES = """
SELECT term, max(doc) FROM (
    SELECT term, doc FROM vocabulary WHERE term IN (SELECT value FROM json_each(?1))
    UNION ALL SELECT term, doc FROM names_vocabulary WHERE term IN (SELECT value FROM json_each(?1))
) GROUP BY term
"""
_PHRASES = """
SELECT value, max(
    (SELECT count(*) FROM words WHERE words MATCH '"' || value || '"'),
    (SELECT count(*) FROM names WHERE names MATCH '"' || value || '"')
) FROM json_each(?)
"""
_PASSAGES = """
SELECT passages.id, collections.name, documents.name, documents.title, heading, page, row, start, end, text
FROM passages
JOIN documents ON documents.id = document_id
JOIN collections ON collections.id = passages.collection_id
WHERE passages.id IN (SELECT value FROM json_each(?))
"""
_COLLECTION_STATES = """
SELECT name,
    (SELECT count(*) FROM documents JOIN files ON files.id = file_id WHERE collection_id = collections.id),
    (SELECT count(*) FROM passages WHERE collection_id = collections.id),
    (SELECT count(*) FROM files WHERE collection_id = collections.id AND error IS NOT NULL),
    (SELECT count(*) FROM files WHERE collection_id = collections.id AND unread <> ''),
    (SELECT json_group_object(cause, count) FROM (
        SELECT cause, sum(count) AS count FROM left_out WHERE collection_id = collections.id GROUP BY cause
    ))
FROM collections ORDER BY name
"""
_LANGUAGES = """
SELECT collections.name, language, count(*)
FROM documents JOIN files ON files.id = file_id JOIN collections ON collections.id = collection_id
GROUP BY collections.name, language ORDER BY count(*) DESC, language
"""
_FILE_STATES = """
SELECT collections.name, path, count(documents.id),
    COALESCE(sum((SELECT count(*) FROM passages WHERE document_id = documents.id)), 0),
    size_bytes, read_at, COALESCE(error, ''), unread
FROM files JOIN collections ON collections.id = collection_id LEFT JOIN documents ON file_id = files.id
WHERE collection_id = ? AND path > ? GROUP BY files.id ORDER BY path LIMIT ?
"""
_LEFT_OUT = """
SELECT collections.name, cause, left_out.name, count FROM left_out JOIN collections ON collections.id = collection_id
WHERE collection_id = ? ORDER BY cause, count DESC, left_out.name
"""


class IndexReader:
    """Reads the index. Every method may raise DatabaseDamaged and DatabaseUnusable."""

    def __init__(self, read_db: Database) -> None:
        self._db = read_db

    async def match_passages(
        self, terms: Sequence[frozenset[str]], collections: Collection[int], limit: int
    ) -> dict[int, float]:
        """The passages with any of the terms and their BM25 scores (positive), best first."""
        expression = fts5_query(terms)
        if not expression:
            return {}
        parameters = (*_rank_parameters(expression), json.dumps(list(collections)), limit)
        return dict(await self._db.fetch_rows(_MATCHING, parameters))

    async def bm25_scores(self, terms: Sequence[frozenset[str]], ids: Collection[int]) -> dict[int, float]:
        """The BM25 scores of those of the passages that have any of the terms."""
        expression = fts5_query(terms)
        if not expression:
            return {}
        parameters = (*_rank_parameters(expression), json.dumps(list(ids)))
        return dict(await self._db.fetch_rows(_SCORING, parameters))

    async def document_frequencies(self, terms: Sequence[frozenset[str]]) -> list[int]:
        """For each term, the number of passages with its most frequent form; a form may be a phrase of stems."""
        forms = frozenset[str]().union(*terms)
        found = await self.stem_frequencies({form for form in forms if " " not in form})
        phrases = sorted(form for form in forms if " " in form)
        if phrases:
            found |= dict(await self._db.fetch_rows(_PHRASES, (json.dumps(phrases),)))
        return [max((found.get(form, 0) for form in term), default=0) for term in terms]

    async def stem_frequencies(self, stems: Collection[str]) -> dict[str, int]:
        """The number of passages with each of the stems that are in the index."""
        return dict(await self._db.fetch_rows(_FREQUENCIES, (json.dumps(sorted(stems)),)))

    async def count_passages(self) -> int:
        """The number of passages in all collections."""
        (count,) = await self._db.fetch_row("SELECT count(*) FROM passages")
        return int(count)

    async def document_languages(self) -> set[str]:
        """The ISO 639-1 codes of the documents' languages, with an empty one for unclear documents."""
        return {language for (language,) in await self._db.fetch_rows("SELECT DISTINCT language FROM documents")}

    async def existing_ids(self, ids: Collection[int]) -> set[int]:
        """Those of the passage ids that exist."""
        rows = await self._db.fetch_rows(
            "SELECT id FROM passages WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )
        return {key for (key,) in rows}

    async def get_passages(self, ids: Collection[int]) -> dict[int, Passage]:
        """The passages that exist, by id."""
        rows = await self._db.fetch_rows(_PASSAGES, (json.dumps(list(ids)),))
        return {row[0]: _passage(row) for row in rows}

    async def collection_counts(self) -> list[CollectionState]:
        """The documents, passages, files and languages of each collection, by name; nothing is known of its vectors."""
        rows = await self._db.fetch_rows(_COLLECTION_STATES)
        languages: dict[str, dict[str, int]] = {}
        for name, language, count in await self._db.fetch_rows(_LANGUAGES):
            languages.setdefault(name, {})[language] = count
        return [
            CollectionState(
                name,
                documents,
                passages,
                failed,
                index_ready=False,
                partly_read=partly_read,
                left_out=json.loads(left_out),
                languages=languages.get(name, {}),
            )
            for name, documents, passages, failed, partly_read, left_out in rows
        ]

    async def file_states(self, collection: int, after: str, limit: int) -> list[FileState]:
        """The files of a collection by path, from above `after`, at most `limit`."""
        return [FileState(*row) for row in await self._db.fetch_rows(_FILE_STATES, (collection, after, limit))]

    async def left_out(self, collection: int) -> list[LeftOut]:
        """The files and folders that the last scan of a collection left out, by cause, the most frequent first."""
        return [LeftOut(*row) for row in await self._db.fetch_rows(_LEFT_OUT, (collection,))]


def _rank_parameters(expression: str) -> tuple[Any, ...]:
    return (*_WORD_WEIGHTS, expression, _NAME_SHARE, *_NAME_WEIGHTS)


def _passage(row: Sequence[Any]) -> Passage:
    key, collection, document, title, heading, page, number, start, end, text = row
    location = PassageLocation(tuple(json.loads(heading)), page, number, start, end)
    return Passage(key, collection, document, title, location, text)

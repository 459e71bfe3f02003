"""Opens the knowledge database: one connection that writes, one that reads."""

import logging
from pathlib import Path

from knowledge.sqlite import Database, DatabaseUnusable
from knowledge.store.index_reader import IndexReader
from knowledge.store.index_writer import IndexWriter
from knowledge.store.vector_store import VectorStore

_log = logging.getLogger(__name__)

DATABASE_FILE_NAME = "knowledge.sqlite3"
MIGRATIONS = Path(__file__).parent / "migrations"
_WAY_OUT = "It holds nothing that cannot be made again: move it away, start Hearth and run `hearth index`."


class KnowledgeStore:
    """The knowledge database. Reads never wait for a change in progress: they have a connection of their own."""

    def __init__(self, write_db: Database, read_db: Database) -> None:
        self._write_db = write_db
        self._read_db = read_db
        self.reader = IndexReader(read_db)
        self.writer = IndexWriter(write_db)
        self.vectors = VectorStore(write_db, read_db)

    @classmethod
    async def open(cls, folder: Path) -> "KnowledgeStore":
        """Open or create `knowledge.sqlite3`. Raises DatabaseTooNew, DatabaseDamaged, DatabaseUnusable."""
        path = folder / DATABASE_FILE_NAME
        write_db = await Database.open(path, MIGRATIONS, way_out=_WAY_OUT, check=True)
        try:
            read_db = await Database.open(path, MIGRATIONS, way_out=_WAY_OUT, read_only=True)
        except BaseException:
            await write_db.close()
            raise
        return cls(write_db, read_db)

    async def erase_deleted(self) -> None:
        """Erase what deleted passages have left in the file: their stems in the full-text index, and free pages.

        FTS5 only marks a deleted stem until it merges its segments. The file is rewritten when a quarter of it is free.
        """
        try:
            await self._write_db.execute("INSERT INTO words (words) VALUES ('optimize')")
            await self._write_db.execute("INSERT INTO names (names) VALUES ('optimize')")
            await self._write_db.shrink()
        except DatabaseUnusable as error:  # both need room on the disk
            _log.warning("Could not erase what deleted documents left in the index, trying again next time: %s", error)

    async def close(self) -> None:
        """Close both connections."""
        await self._read_db.close()
        await self._write_db.close()

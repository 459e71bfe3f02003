"""Opens the knowledge database: one connection that writes, one that reads."""

from pathlib import Path

from knowledge.sqlite import Database
from knowledge.store.index_reader import IndexReader
from knowledge.store.index_writer import IndexWriter
from knowledge.store.vector_store import VectorStore

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

    async def close(self) -> None:
        """Close both connections."""
        await self._read_db.close()
        await self._write_db.close()

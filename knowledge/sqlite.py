"""SQLite files: numbered migrations, transactions, and errors that explain what is wrong with the file."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

T = TypeVar("T")
_DAMAGE_ERRORS = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FILE_ERRORS = _DAMAGE_ERRORS | {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}


@dataclass(eq=False)
class DatabaseTooNew(Exception):
    """The file was written by a newer Hearth; `found` and `known` are schema versions."""

    user_facing = True
    path: Path
    found: int
    known: int

    def __str__(self) -> str:
        return (
            f"{self.path} was written by a newer Hearth (schema {self.found}, this one knows {self.known}): "
            "start the newer version, or restore an older copy of the file."
        )


@dataclass(eq=False)
class DatabaseDamaged(Exception):
    """The file is no database, or is corrupt; `reason` is SQLite's, `way_out` a sentence."""

    user_facing = True
    path: Path
    reason: str
    way_out: str

    def __str__(self) -> str:
        return f"The database {self.path} is damaged ({self.reason}). {self.way_out}"


@dataclass(eq=False)
class DatabaseUnusable(Exception):
    """The file cannot be opened or written; `reason` is the system's."""

    user_facing = True
    path: Path
    reason: str

    def __str__(self) -> str:
        return (
            f"The database {self.path} cannot be opened or written ({self.reason}): "
            "check the folder's owner and permissions, the free space, and that no other program holds the file."
        )


@dataclass(frozen=True, slots=True)
class _Query:
    """A query and the future of its rows."""

    sql: str
    parameters: tuple[Any, ...]
    asked: asyncio.Future[list[Any]]

    def run(self, connection: sqlite3.Connection) -> list[Any] | Exception:
        """Its rows, or its error, which is its alone; runs on the database's thread."""
        try:
            return connection.execute(self.sql, self.parameters).fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            return error

    def settle(self, outcome: list[Any] | Exception) -> None:
        """Hand the outcome to who asked, unless that has been cancelled."""
        if self.asked.done():
            return
        if isinstance(outcome, Exception):
            self.asked.set_exception(outcome)
        else:
            self.asked.set_result(outcome)


class Database:
    """One SQLite file on one thread.

    Reads go through `fetch_rows`, `fetch_row` and `read`, writes through `execute` and `write`, and through
    `transaction` where something else is awaited between the statements.
    """

    def __init__(self, path: Path, connection: aiosqlite.Connection, way_out: str) -> None:
        self._path = path
        self._way_out = way_out
        self._connection = connection
        self._writing = asyncio.Lock()
        self._asked: list[_Query] = []
        self._asking: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        migrations: Path,
        *,
        way_out: str = "Restore it from a backup, or move it away to start with an empty one.",
        check: bool = False,
        read_only: bool = False,
    ) -> "Database":
        """Open or create a file (mode 0600, WAL, foreign keys) and bring its schema up to date.

        `migrations` is a folder of `0001_name.sql`, `0002_name.sql` and so on; each runs in one transaction that also
        sets `user_version`. `check` verifies the file's integrity (about a second per 300 MB); `read_only`
        forbids writes on this connection. Raises DatabaseTooNew, DatabaseUnusable, and DatabaseDamaged with `way_out`.
        """
        connection: aiosqlite.Connection | None = None
        try:
            _create_private(path)
            connection = await _connect(path)
            await _prepare(connection, path, _scripts(migrations), way_out, check=check, read_only=read_only)
        except BaseException as error:
            if connection is not None:
                await connection.close()
            if isinstance(error, sqlite3.Error | OSError):
                raise _database_error(path, error, way_out) from error
            raise
        return cls(path, connection, way_out)

    async def fetch_rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
        """All rows of a query, as tuples. During a transaction it sees uncommitted changes. Queries of one turn of the
        event loop share a visit to the thread, which costs more than most of them.

        This and all methods below raise DatabaseDamaged and DatabaseUnusable for errors of the file or disk, and
        sqlite3's own errors for a wrong statement.
        """
        with self._translated_errors():
            asked: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
            self._asked.append(_Query(sql, tuple(parameters), asked))
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask())
            return await asked

    async def fetch_row(self, sql: str, parameters: Iterable[Any] = ()) -> Any:
        """The only row of a query. Raises LookupError unless there is exactly one."""
        rows = await self.fetch_rows(sql, parameters)
        if len(rows) != 1:
            raise LookupError(f"{len(rows)} rows instead of one")
        return rows[0]

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
        """Run one statement outside a transaction, a pragma or a single write; the rows it returns.

        Atomic by itself, with one round trip to the thread instead of three.
        """
        async with self._writing:
            return await self.fetch_rows(sql, parameters)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run several queries in one visit to the database's thread, where each needs the result of the one before.

        `work` runs on that thread; it must only read.
        """
        with self._translated_errors():
            # aiosqlite has no public way to run a function on its thread.
            thread: Any = self._connection
            result: T = await thread._execute(work, thread._conn)
            return result

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run several statements as one transaction, in one visit to the database's thread.

        `work` runs on that thread. Rolled back on any exception; when the caller is cancelled, it is still done whole.
        """

        def commit(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
            return result

        async with self._writing:
            return await self.read(commit)

    async def _ask(self) -> None:
        """Run all queries that were asked since the last turn of the event loop."""
        # One whose caller is cancelled already must not run later, perhaps in the transaction of another.
        queries = [query for query in self._asked if not query.asked.done()]
        self._asked, self._asking = [], None
        try:
            outcomes = await self.read(lambda connection: [query.run(connection) for query in queries])
        except ValueError as error:  # aiosqlite's word for a closed connection
            outcomes = [error] * len(queries)
        except BaseException:
            for query in queries:  # none may wait for a visit that did not end
                query.asked.cancel()
            raise
        for query, outcome in zip(queries, outcomes, strict=True):
            query.settle(outcome)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """A transaction; others wait until it ends. Rolled back on any exception."""
        async with self._writing:
            try:
                with self._translated_errors():
                    # Inside the try: if cancelled here, the thread still begins, and only the rollback ends that.
                    await self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
                    await self._connection.execute("COMMIT")
            except BaseException:
                await self._connection.rollback()
                raise

    async def checkpoint(self) -> None:
        """Write everything into the main file and truncate the write-ahead log, so that deleted rows leave both."""
        await self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    async def release_free_pages(self) -> None:
        """Give free pages back to the disk, in a file with incremental vacuum; the file shrinks at a checkpoint."""
        async with self._writing:
            with self._translated_errors():
                # A script steps the statement to its end; `execute` takes one step, which frees one page.
                await self._connection.executescript("PRAGMA incremental_vacuum")

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if _code(error) not in _FILE_ERRORS:
                raise
            raise _database_error(self._path, error, self._way_out) from error


async def _connect(path: Path) -> aiosqlite.Connection:
    """Connect to a file. When cancelled, wait for the thread to end: it would write into a closed event loop."""

    async def connect() -> aiosqlite.Connection:
        return await aiosqlite.connect(path, isolation_level=None, cached_statements=256)

    connecting = asyncio.create_task(connect())
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        await asyncio.wait({connecting})
        if not connecting.cancelled() and connecting.exception() is None:
            await connecting.result().close()
        raise


async def _prepare(
    connection: aiosqlite.Connection, path: Path, scripts: list[str], way_out: str, *, check: bool, read_only: bool
) -> None:
    version = await _fetch_value(connection, "PRAGMA user_version")
    if version > len(scripts):
        raise DatabaseTooNew(path, version, len(scripts))
    for pragma in ("busy_timeout = 5000", "journal_mode = WAL", "synchronous = NORMAL"):
        await connection.execute_fetchall(f"PRAGMA {pragma}")
    for number, script in enumerate(scripts[version:], start=version + 1):
        await _migrate(connection, number, script)
    # After the migrations: SQLite advises foreign keys off while altering, and ignores the pragma in a transaction.
    await connection.execute("PRAGMA foreign_keys = ON")
    if check and (found := await _fetch_value(connection, "PRAGMA quick_check(1)")) != "ok":
        raise DatabaseDamaged(path, str(found), way_out)
    if read_only:
        await connection.execute("PRAGMA query_only = ON")


async def _migrate(connection: aiosqlite.Connection, number: int, script: str) -> None:
    try:
        await connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
    except BaseException:
        await connection.rollback()
        raise


async def _fetch_value(connection: aiosqlite.Connection, sql: str) -> Any:
    rows = list(await connection.execute_fetchall(sql))
    return rows[0][0]


def _scripts(migrations: Path) -> list[str]:
    found = sorted(migrations.glob("*.sql"))
    if [int(path.name.partition("_")[0]) for path in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"Migrations must be numbered from 1 without gaps: {[path.name for path in found]}")
    return [path.read_text(encoding="utf-8") for path in found]


def _create_private(path: Path) -> None:
    """Create the file with mode 0600, so that others can never read it; SQLite copies the mode to -wal and -shm."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _database_error(path: Path, error: sqlite3.Error | OSError, way_out: str) -> DatabaseDamaged | DatabaseUnusable:
    damaged = isinstance(error, sqlite3.Error) and _code(error) in _DAMAGE_ERRORS
    return DatabaseDamaged(path, str(error), way_out) if damaged else DatabaseUnusable(path, str(error))


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for errors raised by Python itself, such as for wrong parameters."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF

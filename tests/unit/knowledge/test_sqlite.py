import asyncio
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from knowledge.sqlite import Database, DatabaseDamaged, DatabaseTooNew, DatabaseUnusable

FIRST = "CREATE TABLE shelves (name TEXT PRIMARY KEY);"
SECOND = "ALTER TABLE shelves ADD COLUMN room TEXT NOT NULL DEFAULT 'cellar';"


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text(FIRST)
    return folder


async def test_a_new_file_gets_every_migration_and_is_private(tmp_path: Path, migrations: Path) -> None:
    (migrations / "0002_second.sql").write_text(SECOND)
    database = await Database.open(tmp_path / "a.sqlite3", migrations)
    await database.execute("INSERT INTO shelves (name) VALUES (?)", ("Heron",))
    assert await database.fetch_rows("SELECT name, room FROM shelves") == [("Heron", "cellar")]
    assert await database.fetch_row("PRAGMA user_version") == (2,)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("a.sqlite3*")}
    await database.close()
    assert modes == {0o600}


async def test_an_older_file_gets_only_what_it_lacks(tmp_path: Path, migrations: Path) -> None:
    database = await Database.open(tmp_path / "a.sqlite3", migrations)
    await database.execute("INSERT INTO shelves (name) VALUES ('Heron')")
    await database.close()
    (migrations / "0002_second.sql").write_text(SECOND)
    database = await Database.open(tmp_path / "a.sqlite3", migrations)
    assert await database.fetch_row("SELECT name, room FROM shelves") == ("Heron", "cellar")
    await database.close()


async def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, migrations: Path) -> None:
    await (await Database.open(tmp_path / "a.sqlite3", migrations)).close()
    (migrations / "0002_second.sql").write_text("CREATE TABLE half (name TEXT); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(DatabaseUnusable, match="no such table: nowhere"):
        await Database.open(tmp_path / "a.sqlite3", migrations)
    with sqlite3.connect(tmp_path / "a.sqlite3") as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (1,)
        assert raw.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall() == []
    raw.close()


async def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path, migrations: Path) -> None:
    with sqlite3.connect(tmp_path / "a.sqlite3") as raw:
        raw.execute("PRAGMA user_version = 7")
    raw.close()
    before = (tmp_path / "a.sqlite3").read_bytes()
    with pytest.raises(DatabaseTooNew, match="written by a newer Hearth") as caught:
        await Database.open(tmp_path / "a.sqlite3", migrations)
    assert (caught.value.found, caught.value.known) == (7, 1)
    assert (tmp_path / "a.sqlite3").read_bytes() == before


async def test_gaps_in_the_numbers_of_migrations_are_refused(tmp_path: Path, migrations: Path) -> None:
    (migrations / "0003_third.sql").write_text(SECOND)
    with pytest.raises(ValueError, match="without gaps"):
        await Database.open(tmp_path / "a.sqlite3", migrations)


async def test_what_is_no_database_is_named_with_the_way_out(tmp_path: Path, migrations: Path) -> None:
    (tmp_path / "a.sqlite3").write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(DatabaseDamaged, match=r"a\.sqlite3 is damaged .*Burn it\."):
        await Database.open(tmp_path / "a.sqlite3", migrations, way_out="Burn it.")


async def test_damage_inside_a_file_is_found_when_asked_to_check(tmp_path: Path, migrations: Path) -> None:
    path = tmp_path / "a.sqlite3"
    database = await Database.open(path, migrations)
    async with database.transaction() as connection:
        await connection.executemany("INSERT INTO shelves VALUES (?)", [(f"shelf {n}" * 20,) for n in range(500)])
    await database.checkpoint()
    await database.close()
    data = bytearray(path.read_bytes())
    for place in range(5 * 4096, 9 * 4096, 4096):
        data[place : place + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(DatabaseDamaged):
        await Database.open(path, migrations, check=True)


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path, migrations: Path) -> None:
    with pytest.raises(DatabaseUnusable, match=r"cannot be opened or written .*permissions"):
        await Database.open(tmp_path / "nowhere" / "a.sqlite3", migrations)


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path, migrations: Path) -> None:
    database = await Database.open(tmp_path / "a.sqlite3", migrations)
    with pytest.raises(sqlite3.IntegrityError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO shelves VALUES ('Heron')")
            await connection.execute("INSERT INTO shelves VALUES ('Heron')")
    assert await database.fetch_rows("SELECT * FROM shelves") == []
    await database.close()


async def test_a_cancelled_transaction_leaves_nothing_and_the_next_one_works(tmp_path: Path, migrations: Path) -> None:
    database = await Database.open(tmp_path / "a.sqlite3", migrations)
    inside = asyncio.Event()

    async def write_slowly() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO shelves VALUES ('Heron')")
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(write_slowly())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO shelves VALUES ('Quince')")
    assert await database.fetch_rows("SELECT * FROM shelves") == [("Quince",)]
    await database.close()


async def test_transactions_of_several_tasks_wait_for_each_other(tmp_path: Path, migrations: Path) -> None:
    database = await Database.open(tmp_path / "a.sqlite3", migrations)

    async def write(number: int) -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO shelves VALUES (?)", (f"a{number}",))
            await asyncio.sleep(0)
            await connection.execute("INSERT INTO shelves VALUES (?)", (f"b{number}",))

    await asyncio.gather(*(write(number) for number in range(10)))
    assert await database.fetch_row("SELECT count(*) FROM shelves") == (20,)
    await database.close()


async def test_a_reading_connection_refuses_to_write(tmp_path: Path, migrations: Path) -> None:
    database = await Database.open(tmp_path / "a.sqlite3", migrations, read_only=True)
    with pytest.raises(DatabaseUnusable, match="readonly"):
        await database.execute("INSERT INTO shelves VALUES ('Heron')")
    await database.close()


async def test_one_row_means_one_row(tmp_path: Path, migrations: Path) -> None:
    database = await Database.open(tmp_path / "a.sqlite3", migrations)
    with pytest.raises(LookupError):
        await database.fetch_row("SELECT * FROM shelves")
    await database.close()


async def test_a_wrong_statement_is_not_blamed_on_the_file(tmp_path: Path, migrations: Path) -> None:
    database = await Database.open(tmp_path / "a.sqlite3", migrations)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await database.fetch_rows("SELECT * FROM nowhere")
    with pytest.raises(sqlite3.ProgrammingError):
        await database.fetch_rows("SELECT ?", (1, 2))
    await database.close()


async def test_a_file_that_another_program_holds_is_named_when_a_transaction_begins(
    tmp_path: Path, migrations: Path
) -> None:
    path = tmp_path / "a.sqlite3"
    database = await Database.open(path, migrations)
    await database.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnusable, match="database is locked"):
            async with database.transaction():
                pass
    finally:
        other.close()
        await database.close()


def test_an_opening_that_is_cancelled_leaves_no_thread_behind(
    tmp_path: Path, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", errors.append)

    async def cancel_opening(steps: int) -> None:
        opening = asyncio.create_task(Database.open(tmp_path / f"{steps}.sqlite3", migrations))
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait({opening})
        if not opening.cancelled():
            await opening.result().close()

    for steps in range(20):
        before = set(threading.enumerate())
        asyncio.run(cancel_opening(steps))
        for thread in set(threading.enumerate()) - before:
            thread.join(60)
    assert errors == [], "a thread wrote into a closed loop"


async def test_statements_of_one_step_are_one_transaction_in_one_visit(tmp_path: Path, migrations: Path) -> None:
    database = await Database.open(tmp_path / "a.sqlite3", migrations)
    await database.execute("CREATE TABLE notes (text)")

    def write(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO notes VALUES ('one')")
        connection.execute("INSERT INTO notes VALUES ('two')")
        return 2

    def fail(connection: sqlite3.Connection) -> None:
        write(connection)
        raise ZeroDivisionError

    assert await database.write(write) == 2
    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    assert await database.read(lambda connection: connection.execute("SELECT text FROM notes").fetchall()) == [
        ("one",),
        ("two",),
    ]
    await database.close()


async def test_a_full_disk_in_a_step_is_told_as_such_and_nothing_of_it_stays(tmp_path: Path, migrations: Path) -> None:
    database = await Database.open(tmp_path / "a.sqlite3", migrations)
    await database.execute("CREATE TABLE notes (text)")
    await database.execute("PRAGMA max_page_count = 1")

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('one')")
        connection.execute("INSERT INTO notes VALUES (?)", ("x" * 100_000,))

    with pytest.raises(DatabaseUnusable):
        await database.write(write)
    assert await database.fetch_rows("SELECT * FROM notes") == []
    await database.close()

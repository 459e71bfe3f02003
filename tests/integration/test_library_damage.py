"""What can happen to the library's files, and what the library makes of it."""

import asyncio
import errno
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge.library import Library
from knowledge.passages import Hit
from knowledge.sqlite import DatabaseDamaged, DatabaseTooNew, DatabaseUnusable
from tests.fakes.embedders import CountingEmbedder
from tests.fakes.paragraph_reader import ParagraphReader
from tests.fakes.shelf import LibraryFixture
from tests.integration import library_child

QUESTION = "Which box is on shelf 77?"


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[LibraryFixture]:
    async with AsyncExitStack() as stack:
        shelf = LibraryFixture(tmp_path, stack)
        for number in range(200):
            shelf.write_document(f"{number}.txt", f"Shelf {number} holds box {number * 7}.")
        library = await shelf.open()
        await library.reindex()
        await library.close()
        yield shelf


def index_file(shelf: LibraryFixture) -> Path:
    (path,) = shelf.data.glob("vectors-*.usearch")
    return path


async def ask(library: Library) -> list[tuple[str, int | None]]:
    """The hits, best first, and their places among the vectors. Those among the words are left out: all documents
    share theirs, so those depend on which candidates the approximate index turned up, and no two graphs are the same.
    """
    hits: tuple[Hit, ...] = (await library.search(QUESTION, ["home"])).hits
    return [(hit.passage.text, hit.ranks.get("vector")) for hit in hits]


async def until_ready(library: Library) -> None:
    while not (await library.collection_states())[0].index_ready:
        await asyncio.sleep(0.01)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [flip, lambda path: os.truncate(path, 500), lambda path: path.unlink()])
async def test_a_damaged_index_is_rebuilt_while_an_exact_scan_answers(
    shelf: LibraryFixture, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    library = await shelf.open()
    expected = await ask(library)
    await library.close()
    damaged = index_file(shelf)
    damage(damaged)

    library = await shelf.open()
    assert not (await library.collection_states())[0].index_ready
    assert await ask(library) == expected
    assert "will be rebuilt" in caplog.text
    await until_ready(library)
    assert await ask(library) == expected
    await library.close()
    caplog.clear()
    library = await shelf.open()
    assert (await library.collection_states())[0].index_ready
    assert await ask(library) == expected
    assert caplog.text == ""


async def test_an_index_that_lags_behind_the_database_catches_up(shelf: LibraryFixture) -> None:
    """As after a crash between the last change and the saving of the index."""
    old_file = index_file(shelf)
    old = old_file.read_bytes()
    with sqlite3.connect(shelf.data / "knowledge.sqlite3") as database:
        record = database.execute("SELECT * FROM index_files").fetchone()
        before = set(database.execute("SELECT id FROM passages"))
    database.close()
    shelf.write_document("77.txt", "Shelf 77 holds nothing but dust.")
    (shelf.folder / "home" / "78.txt").unlink()
    library = await shelf.open()
    await library.reindex()
    expected = await ask(library)
    await library.close()
    index_file(shelf).unlink()
    old_file.write_bytes(old)
    with sqlite3.connect(shelf.data / "knowledge.sqlite3") as database:
        database.execute("REPLACE INTO index_files VALUES (?, ?, ?, ?, ?, ?, ?)", record)
        # The tombstones as they were before the later save dropped them.
        gone = before - set(database.execute("SELECT id FROM passages"))
        database.executemany("INSERT INTO tombstones SELECT 1, value, ? FROM sequence", gone)
    database.close()
    library = await shelf.open()
    await until_ready(library)
    assert await ask(library) == expected
    assert expected[0][0] == "Shelf 77 holds nothing but dust."
    assert len(gone) == 2


async def test_files_that_a_crash_left_behind_are_swept_away(shelf: LibraryFixture) -> None:
    (shelf.data / "vectors-1-99999.usearch").write_bytes(b"x")
    (shelf.data / "vectors-1-99999.usearch.new").write_bytes(b"x")
    kept = index_file_names(shelf)
    await shelf.open()
    assert index_file_names(shelf) == [name for name in kept if "99999" not in name]


def index_file_names(shelf: LibraryFixture) -> list[str]:
    return sorted(path.name for path in shelf.data.glob("vectors-*"))


async def test_an_index_that_cannot_be_saved_costs_a_rebuild_and_no_answer(
    shelf: LibraryFixture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    library = await shelf.open()
    shelf.write_document("new.txt", "Shelf 77 has a new neighbour.")
    monkeypatch.setattr(os, "fsync", full)
    assert (await library.reindex()).added == 1
    assert "Could not save the vector index" in caplog.text
    assert "No space left" in caplog.text
    assert (await ask(library))[0][1] == 1


async def test_a_full_disk_is_a_sentence_and_what_was_stored_stays(shelf: LibraryFixture) -> None:
    for number in range(500, 900):
        shelf.write_document(f"{number}.txt", f"Shelf {number} holds box {number * 7}." * 20)
    limit = (shelf.data / "knowledge.sqlite3").stat().st_size + 100_000
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", library_child.__name__, shelf.data, shelf.folder / "home", str(limit),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await child.communicate()
    assert child.returncode == 3
    assert b"cannot be opened or written" in output
    assert b"free space" in output
    library = await shelf.open()
    assert 200 <= (await library.collection_states())[0].documents < 600
    assert (await ask(library))[0][0] == "Shelf 77 holds box 539."
    await library.reindex()
    assert (await library.collection_states())[0].documents == 600


async def test_a_damaged_database_says_what_to_do(shelf: LibraryFixture) -> None:
    path = shelf.data / "knowledge.sqlite3"
    data = bytearray(path.read_bytes())
    for place in range(3 * 4096, len(data), 4096):
        data[place : place + 200] = b"\xff" * 200
    path.write_bytes(data)
    with pytest.raises(DatabaseDamaged, match=r"damaged .* move it away, start Hearth and run `hearth index`"):
        await shelf.open()


async def test_a_newer_database_is_refused_and_left_alone(shelf: LibraryFixture) -> None:
    with sqlite3.connect(shelf.data / "knowledge.sqlite3") as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    with pytest.raises(DatabaseTooNew, match=r"knowledge\.sqlite3 was written by a newer Hearth"):
        await shelf.open()
    assert index_file(shelf).exists()


async def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o555)
    # Root writes anywhere but there.
    where = Path("/proc") if os.geteuid() == 0 else folder
    with pytest.raises(DatabaseUnusable, match=r"knowledge\.sqlite3 cannot be opened or written .*permissions"):
        await Library.open(library_child.settings(tmp_path), CountingEmbedder(), ParagraphReader(), where)

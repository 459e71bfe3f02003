import shutil
import sqlite3
from pathlib import Path

import pytest

from knowledge.sqlite import Database
from knowledge.store.store import DATABASE_FILE_NAME, MIGRATIONS, KnowledgeStore


@pytest.fixture
async def first_version(tmp_path: Path) -> Path:
    """A folder with a database as the first version left it: two collections, one passage."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shutil.copy(MIGRATIONS / "0001_library.sql", scripts)
    await (await Database.open(tmp_path / DATABASE_FILE_NAME, scripts)).close()
    with sqlite3.connect(tmp_path / DATABASE_FILE_NAME) as database:
        database.executescript(
            "INSERT INTO collections (id, name) VALUES (1, 'home'), (2, 'other');"
            "INSERT INTO facts VALUES ('embedder', 'hashing-1:64');"
            "INSERT INTO files VALUES (1, 1, 'a.txt', 1, 1, 1, 'x', NULL);"
            "INSERT INTO documents VALUES (1, 1, 'a.txt', 'a', 'en', 'x');"
            "INSERT INTO passages VALUES (1, 1, 1, '[]', NULL, NULL, 0, 5, 'drive', x'00');"
            "INSERT INTO words (rowid, title, heading, text) VALUES (1, 'a', '', 'drive');"
        )
    database.close()
    return tmp_path


async def test_an_index_of_the_first_version_is_searched_as_before(first_version: Path) -> None:
    store = await KnowledgeStore.open(first_version)
    assert await store.vectors.fingerprints() == {1: "hashing-1:64", 2: "hashing-1:64"}
    drive = frozenset({"drive"})
    assert (await store.reader.match_passages([drive], [1], 5)).keys() == {1}
    assert await store.reader.document_frequencies([drive]) == [1]
    assert (await store.reader.get_passages([1]))[1].text == "drive"
    (known,) = (await store.writer.indexed_files(1)).values()
    await store.writer.remove_files([known])
    assert await store.reader.match_passages([drive], [1], 5) == {}
    await store.close()


async def test_marks_and_unspaced_scripts_are_found_as_they_were_stemmed(tmp_path: Path) -> None:
    store = await KnowledgeStore.open(tmp_path)
    await store.close()
    with sqlite3.connect(tmp_path / DATABASE_FILE_NAME) as database:
        database.execute("INSERT INTO words (title, heading, text) VALUES ('', '', 'हिन्दी 钥匙')")
        for stem, hits in (("हिन्दी", 1), ("钥匙", 1), ("ह", 0), ("钥", 0)):
            found = database.execute("SELECT count(*) FROM words WHERE words MATCH ?", (f'"{stem}"',)).fetchone()
            assert found == (hits,), stem
    database.close()

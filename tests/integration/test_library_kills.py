"""A reindex that is killed at any moment leaves a database that is whole, and the next one ends where it would have."""

import asyncio
import random
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from knowledge.embedding import HashingEmbedder
from knowledge.library import Library
from tests.fakes.paragraph_reader import ParagraphReader
from tests.integration import library_child
from tests.integration.library_child import DIMENSION, settings

FILES = 120
AIMS = {3: "reading", 7: "embedding"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.soak)])
async def test_a_reindex_killed_at_any_moment_loses_nothing(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    data, documents = tmp_path / "data", tmp_path / "documents"
    data.mkdir()
    documents.mkdir()
    write(documents, chance, share=1.0)
    (tmp_path / "trial").mkdir()
    await run_undisturbed(tmp_path / "trial", documents)
    write(documents, chance, share=0.5)
    longest = await run_undisturbed(tmp_path / "trial", documents)
    died_in: Counter[str] = Counter()
    for number in range(kills):
        write(documents, chance, share=0.5)
        # At a moment of the whole by the clock, and each fourth time soon after a phase began, which no load moves.
        phase = AIMS.get(number % 8, "scanning")
        share = (number + chance.random()) / kills if phase == "scanning" else chance.random() / kills
        died_in[await run_and_kill(data, documents, longest * share, phase)] += 1
        await check_whole(data, documents)
    print(dict(died_in))
    assert {"reading", "embedding"} <= died_in.keys()
    assert await content(data, documents) == await content(tmp_path / "clean", documents)


def write(documents: Path, chance: random.Random, share: float) -> None:
    """Write, change and delete files."""
    for number in range(FILES):
        path = documents / f"{number}.txt"
        if chance.random() > share:
            continue
        if chance.random() < 0.1:
            path.unlink(missing_ok=True)
        else:
            paragraphs = [f"Shelf {chance.randrange(10_000)} holds box {chance.randrange(10_000)}." for _ in range(6)]
            path.write_text("\n\n".join(paragraphs))
    rows = [f"port {chance.randrange(9000)} of machine {chance.randrange(50)}" for _ in range(100)]
    (documents / "ports.rows").write_text("\n".join(rows))


async def start(data: Path, documents: Path) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", library_child.__name__, data, documents, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"scanning\n"
    return child, child.stdout


async def run_undisturbed(data: Path, documents: Path) -> float:
    """How long a whole reindex takes, in seconds."""
    child, output = await start(data, documents)
    began = asyncio.get_running_loop().time()
    await output.read()
    assert await child.wait() == 0
    return asyncio.get_running_loop().time() - began


async def run_and_kill(data: Path, documents: Path, after_s: float, phase: str) -> str:
    """Kill a reindex so long after a phase began. Returns the last phase it told of before it died."""
    child, output = await start(data, documents)
    told = "scanning\n"
    while phase not in told.split() and (line := await output.readline()):
        told += line.decode()
    await asyncio.sleep(after_s)
    if child.returncode is None:
        child.kill()
    told += (await output.read()).decode()
    await child.wait()
    return next((word for word in reversed(told.split()) if word in {"reading", "embedding", "saving"}), "scanning")


async def check_whole(data: Path, documents: Path) -> None:
    """The database is sound, its parts agree, and a search works."""
    database = sqlite3.connect(data / "knowledge.sqlite3")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    ids = database.execute("SELECT id FROM passages ORDER BY id").fetchall()
    assert database.execute("SELECT rowid FROM words ORDER BY rowid").fetchall() == ids
    database.close()
    library = await Library.open(settings(documents), HashingEmbedder(DIMENSION), ParagraphReader(), data)
    await library.search("Which box is on shelf 77?", ["home"])
    await library.close()


async def content(data: Path, documents: Path) -> object:
    """All that is stored and what a few questions find, after one more reindex, without the ids."""
    data.mkdir(exist_ok=True)
    library = await Library.open(settings(documents), HashingEmbedder(DIMENSION), ParagraphReader(), data)
    await library.reindex()
    answers = []
    for number in range(0, 10_000, 500):
        hits = (await library.search(f"What does shelf {number} hold?", ["home"])).hits
        answers.append((hits[0].passage.text, round(hits[0].score, 3)))
    await library.close()
    database = sqlite3.connect(data / "knowledge.sqlite3")
    stored = database.execute(
        "SELECT name, documents.title, passages.heading, start, end, passages.text, vector, words.text FROM passages"
        " JOIN documents ON documents.id = document_id JOIN vectors ON passage_id = passages.id"
        " JOIN words ON words.rowid = passages.id ORDER BY name, start, passages.text"
    ).fetchall()
    (count,) = database.execute("SELECT count(*) FROM passages").fetchone()
    ((indexed, total),) = database.execute("SELECT count, total FROM index_files").fetchall()
    database.close()
    assert len(stored) == count == indexed
    # What the vector index holds is what the database holds, and nothing else.
    vectors = np.array([np.frombuffer(row[6], dtype="<f2") for row in stored], dtype=np.float64)
    assert np.frombuffer(total) == pytest.approx(vectors.sum(axis=0), abs=1e-6)
    return stored, answers

"""A message visits the thread of a database once for each step: a visit costs more than most statements."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knowledge.sqlite import Database
from tests.fakes.core import running_core
from tests.fakes.messages import message

SHELF = "The backup drive lives on shelf Heron, next to the label printer."
OF_THE_HISTORY = 8
"""Received, language, earlier turns, answering, posted, written, ended, and the turns for the next prompt."""
OF_A_SEARCH = 7
"""Languages; frequencies and the number of passages; matches; what exists; scores; vectors; passages."""


async def test_an_answer_costs_one_visit_for_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "documents" / "handbook").mkdir(parents=True)
    (tmp_path / "documents" / "handbook" / "handbook.txt").write_text(SHELF)
    visits: Counter[str] = Counter()
    read = Database.read

    async def counted(database: Database, work: Callable[[Any], Any]) -> Any:
        visits[database._path.stem] += 1
        return await read(database, work)

    async with running_core(tmp_path) as core:
        await core.ask(message("On which shelf is the backup drive?", "1"))
        await core.ask(message("And where is the label printer?", "2"))
        monkeypatch.setattr(Database, "read", counted)
        reply = await core.ask(message("Which shelf was it, again?", "3"))
    assert reply.closing is not None
    assert reply.closing.sources
    assert visits["history"] <= OF_THE_HISTORY
    assert visits["knowledge"] <= OF_A_SEARCH


async def test_queries_of_one_turn_of_the_loop_share_a_visit_and_not_their_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "migrations").mkdir()
    database = await Database.open(tmp_path / "a.sqlite3", tmp_path / "migrations")
    visits = 0
    read = Database.read

    async def counted(database: Database, work: Callable[[Any], Any]) -> Any:
        nonlocal visits
        visits += 1
        return await read(database, work)

    monkeypatch.setattr(Database, "read", counted)
    gone = asyncio.create_task(database.fetch_rows("SELECT 3"))
    asking = asyncio.gather(
        database.fetch_rows("SELECT 1"),
        database.fetch_rows("SELECT * FROM nowhere"),
        database.fetch_rows("SELECT ?", (2,)),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    gone.cancel()
    one, error, two = await asking
    assert (one, two, visits) == ([(1,)], [(2,)], 1)
    assert isinstance(error, sqlite3.OperationalError)
    await database.close()
    with pytest.raises(ValueError, match="onnection"):
        await database.fetch_rows("SELECT 1")

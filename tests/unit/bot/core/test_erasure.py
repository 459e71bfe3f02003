"""The history's file: what an upgrade makes of older ones, and that it grows smaller."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.core.history import MIGRATIONS, History
from bot.core.messages import ConversationId

ROOM = ConversationId("console:room")


@pytest.fixture
def old_history(tmp_path: Path) -> Path:
    """A history of the schema before origins: a room of two people, 1,200 answers, and one attached file."""
    path = tmp_path / "history.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        for script in sorted(MIGRATIONS.glob("000[12]*.sql")):
            database.executescript(script.read_text(encoding="utf-8"))
        for number in range(1200):
            key, person = ("console", str(number)), ("ana", "ben")[number % 2]
            collections = json.dumps(["safe"] if number == 7 else [])
            database.execute(
                "INSERT INTO messages (platform, event_id, conversation, person, state, received_at)"
                " VALUES (?, ?, ?, ?, 'answered', 1)",
                (*key, ROOM, person),
            )
            for role in ("user", "assistant"):
                database.execute(
                    "INSERT INTO turns (platform, event_id, conversation, person, role, speaker, text, collections)"
                    " VALUES (?, ?, ?, ?, ?, '', ?, ?)",
                    (*key, ROOM, person, role, f"ancient {number} " * 400, collections),
                )
        database.execute("INSERT INTO sources VALUES ('console', '1199', 1, '', 'pay.txt', '', '{}', 'salary', 1)")
        database.execute("PRAGMA user_version = 2")
        database.commit()
    return path


async def test_an_old_history_grows_smaller_when_something_is_forgotten(old_history: Path) -> None:
    before = old_history.stat().st_size
    history = await History.open(old_history)
    try:
        await history.erasure.erase_person("ana")
        await history.erasure.shrink()
        after = old_history.stat().st_size
        assert before > 8_000_000
        assert after < before / 4, "the answers to Ben were made from what Ana said"
        await history.erasure.erase_conversation(ROOM)
        await history.erasure.shrink()
        assert old_history.stat().st_size < 300_000
    finally:
        await history.close()
    assert b"ancient" not in old_history.read_bytes()


async def test_of_old_turns_the_most_careful_is_assumed(old_history: Path) -> None:
    history = await History.open(old_history)
    try:
        turn = (await history.past_turns(ROOM))[0]
        sources = await history._database.fetch_rows("SELECT 1 FROM sources")
    finally:
        await history.close()
    assert (turn.collections, turn.people, turn.private_to) == ({"safe"}, {"ana", "ben"}, "ana")
    assert sources == []
    assert b"salary" not in old_history.read_bytes()


async def test_a_new_history_gives_back_what_it_no_longer_needs(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    history = await History.open(path)
    try:
        await history.erasure.shrink()
        empty = path.stat().st_size
        await history._database.execute(
            "INSERT INTO messages (platform, event_id, conversation, person, state, received_at, question)"
            " VALUES ('console', '1', ?, 'ana', 'answered', 1, ?)",
            (ROOM, "word " * 1_000_000),
        )
        await history._database.checkpoint()
        assert path.stat().st_size > 4_000_000
        await history.erasure.erase_older(received_before=2)
        await history.erasure.shrink()
        assert path.stat().st_size <= empty + 8192
    finally:
        await history.close()


async def test_turns_after_a_forgotten_last_one_are_read(tmp_path: Path) -> None:
    history = await History.open(tmp_path / "history.sqlite3")
    insert = (
        "INSERT INTO turns (platform, event_id, conversation, person, role, speaker, text, collections)"
        " VALUES ('console', ?, ?, 'ana', 'user', '', 'x', '[]')"
    )
    add = (
        "INSERT INTO messages (platform, event_id, conversation, person, state, received_at)"
        " VALUES ('console', ?, ?, 'ana', 'answered', 1)"
    )
    try:
        for statement in (add, insert):
            await history._database.execute(statement, ("1", ROOM))
        (turn,) = await history.past_turns(ROOM)
        await history.drop_turns_before(ROOM, turn.id + 1)
        await history.erasure.erase_person("ana")
        for statement in (add, insert):
            await history._database.execute(statement, ("2", ROOM))
        assert len(await history.past_turns(ROOM)) == 1
    finally:
        await history.close()

"""The core's own time for a message: from handing it in to the end of its reply, with an engine that takes no time.

It is compared with the same rows in bare committed transactions on the same database's thread, one for each step of
the journal, so that the ratio is of the core and not of the machine or of what else runs on it. The search is not part
of it: there are no documents; with documents it is timed once more, and only told.
"""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.core.messages import Message
from bot.core.records import message_to_json
from tests.benchmarks import houses
from tests.benchmarks.figures import Samples
from tests.fakes.core import Core, running_core
from tests.fakes.messages import message

WARM_UP = 20
MESSAGES = 300
CONVERSATIONS = 4
QUESTIONS = ("On which shelf is the backup drive?", "When does the nightly backup begin?", "Who has a key?")
WRITTEN_TABLES = ("answers", "turns", "sources")

Row = tuple[Any, ...]


def measure(folder: Path) -> Samples:
    """Milliseconds of each message, asked one after another, and their ratio to the bare transactions."""
    pairs = asyncio.run(_measure(folder / "without"))
    shutil.copytree(houses.HANDBOOK, folder / "with" / "documents" / "handbook")
    searched = asyncio.run(_measure(folder / "with"))
    took_ms, bare_ms = [took for took, _ in pairs], [bare for _, bare in pairs]
    return {
        "core_per_message_over_bare_journal": [took / bare for took, bare in pairs],
        "core_per_message_ms": took_ms,
        "core_per_message_p95_ms": [sorted(took_ms)[int(0.95 * len(took_ms))]],
        "bare_journal_ms": bare_ms,
        "message_with_search_ms": [took for took, _ in searched],
    }


async def _measure(folder: Path) -> list[tuple[float, float]]:
    folder.mkdir(exist_ok=True)
    async with running_core(folder, flood_answers_per_minute=100_000, queue_notice_after_s=2.0) as core:
        pairs = []
        for number in range(WARM_UP + MESSAGES):
            question = message(
                QUESTIONS[number % len(QUESTIONS)], str(number), conversation=f"console:{number % CONVERSATIONS}"
            )
            took_ms = await _ask(core, question)
            pairs.append((took_ms, await _bare_ms(core, question)))
        return pairs[WARM_UP:]


async def _ask(core: Core, question: Message) -> float:
    began = time.perf_counter()
    reply = await core.send(question)
    await reply.ended.wait()
    took_ms = 1000 * (time.perf_counter() - began)
    if reply.closing is None or bool(reply.closing.sources) != bool(core.library.collections):
        raise ValueError(f"the answer rests on something else than the documents there are: {reply.closing}")
    await core.inbox.wait_until_idle()
    return took_ms


@dataclass(frozen=True)
class BareMessage:
    """The rows of a message in the journal, under another id: the row of `messages`, and those of other tables."""

    event_id: str
    message: Row
    others: dict[str, list[Row]]

    def steps(self) -> list[Callable[[sqlite3.Connection], None]]:
        """The journal's steps."""
        state = "UPDATE messages SET state = ? WHERE event_id = ?"

        def received(connection: sqlite3.Connection) -> None:
            _insert(connection, "messages", [self.message])

        def answering(connection: sqlite3.Connection) -> None:
            connection.execute(state, ("answering", self.event_id))

        def posted(connection: sqlite3.Connection) -> None:
            _insert(connection, "parts", self.others["parts"])

        def written(connection: sqlite3.Connection) -> None:
            connection.execute(state, ("written", self.event_id))
            for table in WRITTEN_TABLES:
                _insert(connection, table, self.others[table])

        def answered(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE messages SET message = NULL WHERE event_id = ?", (self.event_id,))

        return [received, answering, posted, written, answered]


async def _bare_ms(core: Core, question: Message) -> float:
    """Milliseconds of the same rows, bare."""
    database = core.history._database
    bare = await database.read(lambda connection: _copy(connection, question))
    steps = bare.steps()
    began = time.perf_counter()
    for step in steps:
        await database.write(step)
    return 1000 * (time.perf_counter() - began)


def _copy(connection: sqlite3.Connection, question: Message) -> BareMessage:
    event_id = f"bare-{question.event_id}"
    renamed = {question.event_id: event_id, question.conversation: "bare"}

    def rows(table: str) -> list[Row]:
        cursor = connection.execute(f"SELECT * FROM {table} WHERE event_id = ?", (question.event_id,))
        names = [column[0] for column in cursor.description]
        return [
            tuple(None if name == "id" else renamed.get(value, value) for name, value in zip(names, row, strict=True))
            for row in cursor
        ]

    text = message_to_json(question)
    names = [row[1] for row in connection.execute("PRAGMA table_info(messages)")]
    (whole,) = rows("messages")
    return BareMessage(
        event_id,
        tuple(text if name == "message" else value for name, value in zip(names, whole, strict=True)),
        {table: rows(table) for table in ("parts", *WRITTEN_TABLES)},
    )


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    for row in rows:
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)

"""The core's own time for a message: from handing it in to the end of its reply, with an engine that takes no time.

It is compared with the same rows in one bare committed transaction on the same database's thread, so that the ratio is
of the core and not of the machine or of what else runs on it; and, for information, with one bare transaction for each
step of the journal. The search is not part of it: there are no documents; with documents it is timed once more.
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
    timed = asyncio.run(_measure(folder / "without"))
    shutil.copytree(houses.HANDBOOK, folder / "with" / "documents" / "handbook")
    searched = asyncio.run(_measure(folder / "with"))
    took_ms = [each.core_ms for each in timed]
    return {
        "core_per_message_over_bare_transaction": [each.core_ms / each.transaction_ms for each in timed],
        "core_per_message_over_bare_journal": [each.core_ms / each.journal_ms for each in timed],
        "core_per_message_ms": took_ms,
        "core_per_message_p95_ms": [sorted(took_ms)[int(0.95 * len(took_ms))]],
        "bare_transaction_ms": [each.transaction_ms for each in timed],
        "bare_journal_ms": [each.journal_ms for each in timed],
        "message_with_search_ms": [each.core_ms for each in searched],
    }


@dataclass(frozen=True)
class Timed:
    """Milliseconds of one message in the core, and of its rows in one bare transaction and in one for each step."""

    core_ms: float
    transaction_ms: float
    journal_ms: float


async def _measure(folder: Path) -> list[Timed]:
    folder.mkdir(exist_ok=True)
    async with running_core(folder, flood_answers_per_minute=100_000, queue_notice_after_s=2.0) as core:
        timed = []
        for number in range(WARM_UP + MESSAGES):
            question = message(
                QUESTIONS[number % len(QUESTIONS)], str(number), conversation=f"console:{number % CONVERSATIONS}"
            )
            core_ms = await _ask(core, question)
            whole, stepwise = [await _bare(core, question, prefix) for prefix in ("whole", "stepwise")]
            transaction_ms = await _writes_ms(core, [whole.write_all])
            timed.append(Timed(core_ms, transaction_ms, await _writes_ms(core, stepwise.steps())))
        return timed[WARM_UP:]


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

    def write_all(self, connection: sqlite3.Connection) -> None:
        """All steps at once."""
        for step in self.steps():
            step(connection)


async def _writes_ms(core: Core, writes: Sequence[Callable[[sqlite3.Connection], None]]) -> float:
    """Milliseconds of bare transactions, one after another."""
    began = time.perf_counter()
    for write in writes:
        await core.history._database.write(write)
    return 1000 * (time.perf_counter() - began)


async def _bare(core: Core, question: Message, prefix: str) -> BareMessage:
    return await core.history._database.read(lambda connection: _copy(connection, question, prefix))


def _copy(connection: sqlite3.Connection, question: Message, prefix: str) -> BareMessage:
    event_id = f"{prefix}-{question.event_id}"
    renamed = {question.event_id: event_id, question.conversation: prefix}

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

"""The change counter: each change of passages or vectors gets the next number."""

import aiosqlite

from knowledge.sqlite import Database


async def next_seq(db: aiosqlite.Connection) -> int:
    """Take the number of the change that the current transaction makes."""
    rows = list(await db.execute_fetchall("UPDATE sequence SET value = value + 1 RETURNING value"))
    return int(rows[0][0])


async def last_seq(db: Database) -> int:
    """The number of the last committed change; 0 before the first."""
    (value,) = await db.fetch_row("SELECT value FROM sequence")
    return int(value)

"""Erasure from the history database: what a person or a conversation said, and messages past their retention time."""

import json
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import aiosqlite

from bot.core.epochs import Epochs
from bot.core.messages import ConversationId
from knowledge.sqlite import Database, DatabaseUnusable

log = logging.getLogger(__name__)

INCREMENTAL = 2
"""SQLite's number of the mode in which a file can shrink without being rewritten."""

SMALL_PAGES = 1024
"""Up to this size (4 MB) a file is rewritten to change its mode in milliseconds."""

MOST_FREE_PAGES = 4096
"""From 16 MB of free pages on it is worth rewriting a larger one."""

# SQLite gives the number of a deleted last turn to the next one, which must not count as dropped from the prompts.
_KEEP_NEW_TURNS = (
    "UPDATE conversations SET first_turn = MIN(first_turn, (SELECT COALESCE(MAX(turns.id), 0) + 1 FROM turns))"
)

_PLACES_OF_PERSON = (
    "SELECT conversation FROM messages WHERE person = ?1 UNION"
    " SELECT conversation FROM turns WHERE EXISTS (SELECT 1 FROM json_each(people) WHERE value = ?1)"
)

# The empty name stands for anybody of the place: for people whom the platform did not name, and quoted answers of bots.
_DERIVED_FROM_PERSON = (
    "SELECT DISTINCT platform, event_id, conversation FROM turns WHERE EXISTS (SELECT 1 FROM json_each(people)"
    " WHERE value = ?1 OR (value = '' AND conversation IN (SELECT place.value FROM json_each(?2) AS place)))"
)

_CHOSEN = "(platform, event_id) IN (SELECT platform, event_id FROM chosen)"


@dataclass(frozen=True, slots=True)
class ForgetResult:
    """Counts of what was deleted. `turns` are those of others too, where the model had read the words."""

    turns: int = 0
    questions: int = 0
    attachments: int = 0


class Erasure:
    """Deletes texts, and notes in the same transaction the conversations whose saved states must be dropped.

    Ids of messages stay, so that a redelivered message gets no second answer.
    """

    def __init__(self, database: Database, epochs: Epochs) -> None:
        self._database = database
        self._epochs = epochs

    async def erase_person(self, person: str) -> ForgetResult:
        """Delete a person's messages, the answers to them, and all answers whose prompt held their words."""
        async with self._database.transaction() as connection:
            places = await connection.execute_fetchall(_PLACES_OF_PERSON, (person,))
            await _choose(connection, "SELECT platform, event_id, conversation FROM messages WHERE person = ?", person)
            own = await self._erase_chosen(connection)
            await _choose(connection, _DERIVED_FROM_PERSON, person, json.dumps([place for (place,) in places]))
            derived_turns = await self._erase_chosen_answers(connection)
            await self._drop_contexts(
                connection,
                "EXISTS (SELECT 1 FROM json_each(message, '$.context')"
                " WHERE COALESCE(json_extract(value, '$[2]'), '') IN (?, ''))",
                person,
            )
        return ForgetResult(own.turns + derived_turns, own.questions, own.attachments)

    async def erase_conversation(self, conversation: ConversationId) -> ForgetResult:
        """Delete all messages and answers of a conversation, and its language."""
        async with self._database.transaction() as connection:
            await _choose(
                connection, "SELECT platform, event_id, conversation FROM messages WHERE conversation = ?", conversation
            )
            result = await self._erase_chosen(connection)
            await self._outdate(connection, [conversation])
            await connection.execute("DELETE FROM conversations WHERE id = ?", (conversation,))
            # Which conversation a context comes from is not stored: threads quote their rooms.
            await self._drop_contexts(connection, "json_array_length(message, '$.context') > ?", 0)
        return result

    async def erase_older(self, received_before: float) -> ForgetResult:
        """Delete ended messages received before a time, in seconds since the epoch, and the answers to them."""
        async with self._database.transaction() as connection:
            await _choose(
                connection,
                "SELECT platform, event_id, conversation FROM messages WHERE received_at < ? AND conversation <> ''"
                " AND state NOT IN ('received', 'answering', 'written')",
                received_before,
            )
            result = await self._erase_chosen(connection)
            await connection.execute(
                "DELETE FROM answers WHERE ended_at < ? AND (platform, event_id) NOT IN"
                " (SELECT platform, event_id FROM messages WHERE state = 'written')",
                (received_before,),
            )
            await connection.execute(
                "DELETE FROM conversations WHERE NOT EXISTS (SELECT 1 FROM messages WHERE conversation = id)"
            )
        return result

    async def note_states(self, keys: Iterable[str]) -> None:
        """Note keys of the engine whose states must be dropped."""
        async with self._database.transaction() as connection:
            await _note_states(connection, keys)

    async def forgotten_states(self) -> list[tuple[int, str]]:
        """The noted keys, with the numbers for `mark_dropped`."""
        rows = await self._database.fetch_rows("SELECT number, key FROM forgotten_states ORDER BY number")
        return [(number, key) for number, key in rows]

    async def mark_dropped(self, numbers: Iterable[int]) -> None:
        """Delete notes whose states are dropped. By number: the same key may have been noted again meanwhile."""
        rows = [(number,) for number in numbers]
        if rows:
            async with self._database.transaction() as connection:
                await connection.executemany("DELETE FROM forgotten_states WHERE number = ?", rows)

    async def shrink(self) -> None:
        """Give free pages back to the disk, and empty the write-ahead log, which holds deleted rows until then."""
        try:
            if await self._pragma("auto_vacuum") == INCREMENTAL:
                await self._database.release_free_pages()
            else:
                await self._rewrite_if_worthwhile()
        except DatabaseUnusable as error:  # rewriting needs as much free space again; what is deleted is gone anyway
            log.warning("Could not make the history's file smaller: %s", error)
        await self._database.checkpoint()

    async def _rewrite_if_worthwhile(self) -> None:
        """Rewrite a file of an older version once, after which it shrinks without being rewritten."""
        pages, free = await self._pragma("page_count"), await self._pragma("freelist_count")
        if pages > SMALL_PAGES and free < min(pages // 4, MOST_FREE_PAGES):
            return
        await self._database.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        if pages <= SMALL_PAGES:
            await self._database.execute("VACUUM")
            return
        # The copy in between is as large as what remains: too large for the memory beside a model.
        await self._database.execute("PRAGMA temp_store = FILE")
        try:
            await self._database.execute("VACUUM")
        finally:
            await self._database.execute("PRAGMA temp_store = MEMORY")

    async def _pragma(self, name: str) -> int:
        (value,) = await self._database.fetch_row(f"PRAGMA {name}")
        return int(value)

    async def _erase_chosen(self, connection: aiosqlite.Connection) -> ForgetResult:
        """Erase the chosen messages whole."""
        await self._outdate_chosen(connection)
        counts: dict[str, int] = {}
        for table in ("turns", "sources", "attachments", "parts"):
            cursor = await connection.execute(f"DELETE FROM {table} WHERE {_CHOSEN}")  # noqa: S608
            counts[table] = cursor.rowcount
        await connection.execute(f"UPDATE answers SET text = NULL, note = NULL WHERE {_CHOSEN}")  # noqa: S608
        cursor = await connection.execute(
            "UPDATE messages SET conversation = '', person = '', message = NULL, question = NULL,"  # noqa: S608
            " state = CASE WHEN state IN ('received', 'answering', 'written') THEN 'cancelled' ELSE state END"
            f" WHERE {_CHOSEN}"
        )
        await connection.execute(_KEEP_NEW_TURNS)
        return ForgetResult(counts["turns"], cursor.rowcount, counts["attachments"])

    async def _erase_chosen_answers(self, connection: aiosqlite.Connection) -> int:
        """Erase the answers to the chosen messages, not the messages: an undelivered answer is generated again."""
        await self._outdate_chosen(connection)
        cursor = await connection.execute(f"DELETE FROM turns WHERE {_CHOSEN}")  # noqa: S608
        await connection.execute(f"UPDATE answers SET text = NULL, note = NULL WHERE {_CHOSEN}")  # noqa: S608
        await connection.execute(
            f"UPDATE messages SET state = 'received' WHERE state = 'written' AND {_CHOSEN}"  # noqa: S608
        )
        await connection.execute(_KEEP_NEW_TURNS)
        return cursor.rowcount

    async def _outdate_chosen(self, connection: aiosqlite.Connection) -> None:
        """Begin new epochs in the conversations of the chosen messages, and note their states."""
        rows = await connection.execute_fetchall("SELECT DISTINCT conversation FROM chosen WHERE conversation <> ''")
        await self._outdate(connection, [ConversationId(row[0]) for row in rows])

    async def _outdate(self, connection: aiosqlite.Connection, conversations: Collection[ConversationId]) -> None:
        self._epochs.advance(conversations)
        await _note_states(connection, conversations)

    async def _drop_contexts(self, connection: aiosqlite.Connection, which: str, value: object) -> None:
        """Drop what open questions quote from their channels."""
        rows = await connection.execute_fetchall(
            "UPDATE messages SET message = json_set(message, '$.context', json('[]'))"  # noqa: S608
            f" WHERE message IS NOT NULL AND {which} RETURNING platform, event_id, conversation",
            (value,),
        )
        self._epochs.drop_contexts((platform, event_id) for platform, event_id, _ in rows)
        self._epochs.advance(ConversationId(conversation) for _, _, conversation in rows)


async def _choose(connection: aiosqlite.Connection, select: str, *values: object) -> None:
    """Choose messages, by a query for their platform, event id and conversation, for the statements with `_CHOSEN`."""
    await connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS chosen"
        " (platform TEXT, event_id TEXT, conversation TEXT, PRIMARY KEY (platform, event_id)) WITHOUT ROWID"
    )
    await connection.execute("DELETE FROM chosen")
    await connection.execute(f"INSERT OR IGNORE INTO chosen {select}", values)


async def _note_states(connection: aiosqlite.Connection, keys: Iterable[str]) -> None:
    await connection.executemany("INSERT INTO forgotten_states (key) VALUES (?)", [(key,) for key in keys])

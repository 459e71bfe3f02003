"""The journal: which messages were received, and how far the answer to each has come."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.messages import Attachment, FinalAnswer, Message, PostedPart, Source
from bot.core.observe import Outcome
from bot.core.records import (
    message_from_json,
    message_to_json,
    source_from_row,
    source_row,
    timings_from_json,
    timings_to_json,
)
from knowledge.sqlite import Database

MAX_CRASHES = 2
"""Answers that crashed the process this often are not tried again."""

MessageKey = tuple[str, str]
"""Platform and event id: what makes a message unique."""

_RECEIVE = (
    "INSERT INTO messages (platform, event_id, conversation, person, received_at, message, state, attempts)"
    " VALUES (?, ?, ?, ?, ?, ?, 'received', 1) ON CONFLICT DO NOTHING RETURNING 1"
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at an answer. `written` holds an answer that an earlier try wrote but may not have delivered."""

    number: int = 1
    crashes: int = 0
    posted: tuple[PostedPart, ...] = ()
    written: FinalAnswer | None = None

    @property
    def crashed_too_often(self) -> bool:
        """True when earlier tries have crashed the process too often."""
        return self.crashes >= MAX_CRASHES


def message_key(message: Message) -> MessageKey:
    """What makes a message unique."""
    return (message.platform, message.event_id)


class Journal:
    """received -> answering -> written -> answered, or failed, cancelled, ignored; each step one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def receive_message(self, message: Message) -> bool:
        """Take a message in; False when it was seen before, whatever became of it."""
        key = message_key(message)
        row = (*key, message.conversation, message.author.id, time.time(), message_to_json(message))
        if not message.attachments:
            return bool(await self._database.execute(_RECEIVE, row))
        async with self._database.transaction() as connection:
            if not await connection.execute_fetchall(_RECEIVE, row):
                return False
            await connection.executemany(
                "INSERT INTO attachments VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (*key, number, file.name, file.media_type, file.data)
                    for number, file in enumerate(message.attachments)
                ],
            )
            return True

    async def reopen_message(self, key: MessageKey) -> Attempt | None:
        """Take up a message that an earlier process left open; if it was answering, it crashed over this message.

        None: the answer has ended meanwhile.
        """
        rows = await self._database.execute(
            "UPDATE messages SET attempts = attempts + 1, crashes = crashes + (state = 'answering'),"
            " state = CASE state WHEN 'answering' THEN 'received' ELSE state END"
            " WHERE platform = ? AND event_id = ? AND state IN ('received', 'answering', 'written')"
            " RETURNING attempts, crashes, state",
            key,
        )
        if not rows:
            return None
        number, crashes, state = rows[0]
        written = await self._written(key) if state == "written" else None
        return Attempt(number, crashes, await self._parts(key), written)

    async def revise_message(self, message: Message) -> None:
        """The question was edited while its answer is being made."""
        await self._database.execute(
            "UPDATE messages SET message = ? WHERE platform = ? AND event_id = ? AND message IS NOT NULL",
            (message_to_json(message), *message_key(message)),
        )

    async def mark_answering(self, key: MessageKey) -> None:
        """The answer is being made: until it ends in another state, dying counts as a crash over it."""
        await self._database.execute(
            "UPDATE messages SET state = 'answering' WHERE platform = ? AND event_id = ? AND state = 'received'", key
        )

    async def record_part(self, key: MessageKey, part: PostedPart) -> None:
        """Note what was posted."""
        await self._database.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", (*key, part.number, part.platform_id)
        )

    async def write_answer(
        self, message: Message, closing: FinalAnswer, outcome: Outcome, collections: Sequence[str], keep_turns: bool
    ) -> None:
        """Store a finished answer before the platform gets it: from now on it is delivered, never made again."""
        key = message_key(message)
        kept = [("user", message.author.name, message.text), ("assistant", "", closing.text)] if keep_turns else []
        async with self._database.transaction() as connection:
            changed = await connection.execute(
                "UPDATE messages SET state = 'written' WHERE platform = ? AND event_id = ? AND state = 'answering'", key
            )
            if not changed.rowcount:
                return  # forgotten meanwhile: nothing of it may come back
            # Together: what waits in the thread's queue does not have to wake it.
            await asyncio.gather(
                connection.execute(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*key, closing.text, closing.note, outcome, time.time(), timings_to_json(closing.timings)),
                ),
                connection.executemany(
                    "INSERT INTO turns (platform, event_id, conversation, person, role, speaker, text, collections)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (*key, message.conversation, message.author.id, role, speaker, text, _names(collections))
                        for role, speaker, text in kept
                    ],
                ),
                connection.executemany(
                    "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [(*key, *source_row(source)) for source in closing.sources],
                ),
            )

    async def mark_ended(self, key: MessageKey, state: Outcome | None = None) -> None:
        """The answer has ended and the person has been told; the message is no longer needed, but for the text of a
        command of the platform, which nobody else keeps.

        `state` defaults to answered, or to what `write_answer` was told.
        """
        final = state if state in ("failed", "cancelled") else None
        await self._database.execute(
            "UPDATE messages SET message = NULL,"
            " question = CASE json_extract(message, '$.command') WHEN 'ask' THEN json_extract(message, '$.text') END,"
            " state = COALESCE(?,"
            " (SELECT outcome FROM answers WHERE outcome = 'cancelled'"
            "   AND answers.platform = messages.platform AND answers.event_id = messages.event_id), 'answered')"
            " WHERE platform = ? AND event_id = ? AND state IN ('received', 'answering', 'written')",
            (final, *key),
        )

    async def mark_ignored(self, key: MessageKey) -> None:
        """Nothing will be said to a message after all: its id stays, and nothing else."""
        await self._database.execute(
            "UPDATE messages SET message = NULL, state = 'ignored' WHERE platform = ? AND event_id = ?", key
        )

    async def requeue_message(self, key: MessageKey) -> None:
        """The process stops in good order before the answer has ended: the next one answers, and it was no crash."""
        await self._database.execute(
            "UPDATE messages SET state = 'received' WHERE platform = ? AND event_id = ? AND state = 'answering'", key
        )

    async def open_messages(self, platform: str) -> list[Message]:
        """Messages of a platform whose answer has not ended, oldest first."""
        rows = await self._database.fetch_rows(
            "SELECT message, conversation, event_id FROM messages WHERE platform = ? AND message IS NOT NULL"
            " AND state IN ('received', 'answering', 'written') ORDER BY received_at, rowid",
            (platform,),
        )
        return [
            message_from_json(text, conversation, event_id, await self._attachments((platform, event_id)))
            for text, conversation, event_id in rows
        ]

    async def _attachments(self, key: MessageKey) -> list[Attachment]:
        rows = await self._database.fetch_rows(
            "SELECT name, media_type, data FROM attachments WHERE platform = ? AND event_id = ? ORDER BY number", key
        )
        return [Attachment(name, media_type, data) for name, media_type, data in rows]

    async def _parts(self, key: MessageKey) -> tuple[PostedPart, ...]:
        rows = await self._database.fetch_rows(
            "SELECT number, platform_id FROM parts WHERE platform = ? AND event_id = ? ORDER BY number", key
        )
        return tuple(PostedPart(number, platform_id) for number, platform_id in rows)

    async def _written(self, key: MessageKey) -> FinalAnswer:
        text, note, timings = await self._database.fetch_row(
            "SELECT text, note, timings FROM answers WHERE platform = ? AND event_id = ?", key
        )
        return FinalAnswer(text, await self.answer_sources(key), note, timings_from_json(timings))

    async def answer_sources(self, key: MessageKey) -> tuple[Source, ...]:
        """The passages an answer rests on."""
        rows = await self._database.fetch_rows(
            "SELECT number, collection, document, title, place, text, score FROM sources"
            " WHERE platform = ? AND event_id = ? ORDER BY number",
            key,
        )
        return tuple(source_from_row(row) for row in rows)


def _names(collections: Sequence[str]) -> str:
    return json.dumps(sorted(collections), ensure_ascii=False)

"""The journal: every received message and the state of its answer."""

import json
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bot.core.epochs import Epochs
from bot.core.messages import Attachment, FinalAnswer, Message, PostedPart, Source
from bot.core.observe import Outcome
from bot.core.records import (
    attachment_from_row,
    attachment_row,
    message_from_json,
    message_to_json,
    source_from_row,
    source_row,
    timings_from_json,
    timings_to_json,
)
from knowledge.sqlite import Database

MAX_CRASHES = 2
"""Crashes after which a message is not tried again."""

MessageKey = tuple[str, str]
"""Platform and event id, unique for each message."""

_RECEIVE = (
    "INSERT INTO messages (platform, event_id, conversation, person, received_at, message, state, attempts)"
    " VALUES (?, ?, ?, ?, ?, ?, 'received', 1) ON CONFLICT DO NOTHING RETURNING 1"
)

_INSERT_ANSWER = (
    "INSERT OR REPLACE INTO answers (platform, event_id, text, note, outcome, ended_at, timings, private)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

_INSERT_TURN = (
    "INSERT INTO turns (platform, event_id, conversation, person, role, speaker, text, collections, people, private)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

# Attached files are read for one answer; their passages stay for `sources` until the next one. The index of attached
# passages is the outer loop: it has a row or two for each conversation, which may have many messages.
_DELETE_ATTACHED_PASSAGES = (
    "DELETE FROM sources WHERE rowid IN (SELECT attached.rowid FROM sources AS attached CROSS JOIN messages"
    " USING (platform, event_id) WHERE attached.collection = '' AND conversation = ?)"
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at an answer. `written` is an answer that an earlier attempt stored but may not have delivered."""

    number: int = 1
    crashes: int = 0
    posted: tuple[PostedPart, ...] = ()
    written: FinalAnswer | None = None

    @property
    def crashed_too_often(self) -> bool:
        """Whether earlier attempts crashed the process too often."""
        return self.crashes >= MAX_CRASHES


@dataclass(frozen=True, slots=True)
class Origin:
    """What the prompt of an answer was made of, and for whom.

    `collections` and `people`: where its passages and earlier turns came from. `private`: only the author of the
    question reads it. `epoch`: that of the conversation before its turns were read.
    """

    collections: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    private: bool = True
    epoch: int = 0


def message_key(message: Message) -> MessageKey:
    """The unique key of a message."""
    return (message.platform, message.event_id)


class Journal:
    """received -> answering -> written -> answered, or failed, cancelled, ignored; each step one transaction."""

    def __init__(self, database: Database, epochs: Epochs) -> None:
        self._database = database
        self._epochs = epochs

    async def receive_message(self, message: Message) -> bool:
        """Journal a new message; False when it is in the journal already, in any state."""
        key = message_key(message)
        row = (*key, message.conversation, message.author.id, time.time(), message_to_json(message))
        files = [(*key, number, *attachment_row(file)) for number, file in enumerate(message.attachments)]

        def receive(connection: sqlite3.Connection) -> bool:
            if not connection.execute(_RECEIVE, row).fetchall():
                return False
            connection.executemany("INSERT INTO attachments VALUES (?, ?, ?, ?, ?, ?)", files)
            return True

        return await self._database.write(receive)

    async def reopen_message(self, key: MessageKey) -> Attempt | None:
        """Start the next attempt at a message that an earlier process left open; if it was answering, that counts as a
        crash. None: the answer has ended meanwhile.
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
        """Store the new text of a question that was edited while its answer is in progress."""
        await self._database.execute(
            "UPDATE messages SET message = ? WHERE platform = ? AND event_id = ? AND message IS NOT NULL",
            (message_to_json(message), *message_key(message)),
        )

    async def mark_answering(self, key: MessageKey) -> None:
        """Mark the answer as in progress: from now on, the end of the process counts as a crash."""
        await self._database.execute(
            "UPDATE messages SET state = 'answering' WHERE platform = ? AND event_id = ? AND state = 'received'", key
        )

    async def record_part(self, key: MessageKey, part: PostedPart) -> None:
        """Store the platform id of a posted part."""
        await self._database.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", (*key, part.number, part.platform_id)
        )

    async def write_answer(
        self, message: Message, answer: FinalAnswer, outcome: Outcome, origin: Origin, keep_turns: bool
    ) -> bool:
        """Store a finished answer before its delivery: from now on it is only delivered, never generated again.

        False: something that its prompt may have held was erased meanwhile, so nothing is stored.
        """
        key = message_key(message)
        written = (
            *key,
            answer.text,
            answer.note,
            outcome,
            time.time(),
            timings_to_json(answer.timings),
            origin.private,
        )
        turns = _turn_rows(message, answer, origin) if keep_turns else []
        sources = [(*key, *source_row(source)) for source in answer.sources]

        def write(connection: sqlite3.Connection) -> bool:
            if self._epochs.current(message.conversation) != origin.epoch:
                return False
            changed = connection.execute(
                "UPDATE messages SET state = 'written' WHERE platform = ? AND event_id = ? AND state = 'answering'", key
            )
            if changed.rowcount:  # otherwise the question was forgotten meanwhile: the answer must not be stored
                connection.execute(_INSERT_ANSWER, written)
                connection.executemany(_INSERT_TURN, turns)
                connection.execute(_DELETE_ATTACHED_PASSAGES, (message.conversation,))
                connection.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", sources)
            return True

        return await self._database.write(write)

    async def mark_ended(self, key: MessageKey, state: Outcome | None = None) -> None:
        """Mark the answer as delivered and delete the message, except for the question of a native command, which the
        platform does not store. `state` defaults to answered, or to the outcome given to `write_answer`.
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
        """Mark a message that gets no reply; only its id stays."""
        await self._database.execute(
            "UPDATE messages SET message = NULL, state = 'ignored' WHERE platform = ? AND event_id = ?", key
        )

    async def requeue_message(self, key: MessageKey) -> None:
        """Clean shutdown before the answer finished: requeue it; not counted as a crash."""
        await self._database.execute(
            "UPDATE messages SET state = 'received' WHERE platform = ? AND event_id = ? AND state = 'answering'", key
        )

    async def open_messages(self, platform: str) -> list[Message]:
        """A platform's messages with an unfinished answer, oldest first."""
        rows = await self._database.fetch_rows(
            "SELECT message, conversation, event_id FROM messages WHERE platform = ? AND message IS NOT NULL"
            " AND state IN ('received', 'answering', 'written') ORDER BY rowid",  # the clock may have been set back
            (platform,),
        )
        return [
            message_from_json(text, conversation, event_id, await self._attachments((platform, event_id)))
            for text, conversation, event_id in rows
        ]

    async def crash_suspects(self, platform: str) -> frozenset[MessageKey]:
        """Open messages that were being answered when the process died, now or earlier: one may be the cause."""
        rows = await self._database.fetch_rows(
            "SELECT platform, event_id FROM messages WHERE platform = ?"
            " AND (state = 'answering' OR (state = 'received' AND crashes > 0))",
            (platform,),
        )
        return frozenset((row[0], row[1]) for row in rows)

    async def _attachments(self, key: MessageKey) -> list[Attachment]:
        rows = await self._database.fetch_rows(
            "SELECT name, media_type, data FROM attachments WHERE platform = ? AND event_id = ? ORDER BY number", key
        )
        return [attachment_from_row(row) for row in rows]

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
        """The sources of an answer."""
        rows = await self._database.fetch_rows(
            "SELECT number, collection, document, title, place, text, score FROM sources"
            " WHERE platform = ? AND event_id = ? ORDER BY number",
            key,
        )
        return tuple(source_from_row(row) for row in rows)


def _turn_rows(message: Message, answer: FinalAnswer, origin: Origin) -> list[tuple[Any, ...]]:
    people = _names(origin.people | {message.author.id})
    begin = (*message_key(message), message.conversation, message.author.id)
    end = (_names(origin.collections), people, origin.private)
    return [
        (*begin, "user", message.author.name, message.text, *end),
        (*begin, "assistant", "", answer.text, *end),
    ]


def _names(names: Collection[str]) -> str:
    return json.dumps(sorted(names), ensure_ascii=False)

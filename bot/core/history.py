"""The history database: turns and language of each conversation, statistics of answers, and their deletion."""

import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bot.core.journal import Journal
from bot.core.messages import ConversationId, Source, Timings
from bot.core.prompt_building import PastTurn
from bot.core.records import timings_from_json
from bot.core.texts import Language
from knowledge.sqlite import Database

DAY_S = 86_400.0
MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class ForgetResult:
    """Counts of what was deleted, and the conversations whose KV cache must be dropped too."""

    turns: int
    questions: int
    attachments: int
    conversations: frozenset[ConversationId]


@dataclass(frozen=True, slots=True)
class AnswerStats:
    """An ended answer: its end in seconds since the epoch, its outcome and its timings."""

    ended_at: float
    outcome: str
    timings: Timings


class History:
    """The history database. Its `journal` makes answers exactly-once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.journal = Journal(database)

    @classmethod
    async def open(cls, path: Path) -> "History":
        """Open or create the database. Raises DatabaseTooNew, DatabaseDamaged."""
        database = await Database.open(path, MIGRATIONS)
        # Overwrites deleted text with zeros instead of only unlinking it.
        await database.execute("PRAGMA secure_delete = ON")
        return cls(database)

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()

    async def conversation_language(self, conversation: ConversationId) -> Language | None:
        """A conversation's stored language; None before the first clear message."""
        rows = await self._database.fetch_rows("SELECT language FROM conversations WHERE id = ?", (conversation,))
        return rows[0][0] if rows else None

    async def set_language(self, conversation: ConversationId, language: Language) -> None:
        """Store the language of a conversation."""
        await self._database.execute(
            "INSERT INTO conversations (id, language) VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET language = excluded.language",
            (conversation, language),
        )

    async def past_turns(self, conversation: ConversationId) -> list[PastTurn]:
        """The turns that prompts may contain, oldest first, without those of unfinished answers."""
        rows = await self._database.fetch_rows(
            "SELECT turns.id, role, speaker, text, collections FROM turns JOIN messages USING (platform, event_id)"
            " WHERE turns.conversation = ?1 AND state IN ('written', 'answered', 'cancelled') AND turns.id >="
            " COALESCE((SELECT first_turn FROM conversations WHERE id = ?1), 0) ORDER BY turns.id",
            (conversation,),
        )
        return [
            PastTurn(number, role, speaker, text, frozenset(json.loads(collections)))
            for number, role, speaker, text, collections in rows
        ]

    async def drop_turns_before(self, conversation: ConversationId, first_turn: int) -> None:
        """Keep turns older than `first_turn` out of prompts; they stay stored until they are forgotten."""
        await self._database.execute(
            "INSERT INTO conversations (id, first_turn) VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET first_turn = excluded.first_turn",
            (conversation, first_turn),
        )

    async def last_sources(self, conversation: ConversationId, event_id: str = "") -> tuple[Source, ...] | None:
        """The sources of a conversation's last answer, or of the answer to one message; None without an answer."""
        rows = await self._database.fetch_rows(
            "SELECT platform, event_id FROM messages JOIN answers USING (platform, event_id)"
            " WHERE conversation = ?1 AND state IN ('written', 'answered', 'cancelled') AND ?2 IN ('', event_id)"
            " ORDER BY ended_at DESC, messages.rowid DESC LIMIT 1",
            (conversation, event_id),
        )
        return await self.journal.answer_sources((rows[0][0], rows[0][1])) if rows else None

    async def question_text(self, conversation: ConversationId, event_id: str) -> str | None:
        """The question of a native command of the platform; None when it was forgotten or is unknown."""
        rows = await self._database.fetch_rows(
            "SELECT COALESCE(question, CASE json_extract(message, '$.command')"
            " WHEN 'ask' THEN json_extract(message, '$.text') END)"
            " FROM messages WHERE conversation = ? AND event_id = ?",
            (conversation, event_id),
        )
        return rows[0][0] if rows else None

    async def answer_stats(self, seconds: float = DAY_S) -> list[AnswerStats]:
        """Answers that ended in the last `seconds`, oldest first."""
        rows = await self._database.fetch_rows(
            "SELECT ended_at, outcome, timings FROM answers WHERE ended_at >= ? ORDER BY ended_at",
            (time.time() - seconds,),
        )
        return [AnswerStats(ended_at, outcome, timings_from_json(timings)) for ended_at, outcome, timings in rows]

    async def forget_conversation(self, conversation: ConversationId) -> ForgetResult:
        """Delete all messages and answers of a conversation."""
        return await self._forget("conversation = ?", conversation, {conversation})

    async def forget_person(self, person: str) -> ForgetResult:
        """Delete a person's messages and the answers to them in all conversations."""
        rows = await self._database.fetch_rows("SELECT DISTINCT conversation FROM messages WHERE person = ?", (person,))
        return await self._forget("person = ?", person, {ConversationId(row[0]) for row in rows})

    async def _forget(self, which: str, value: str, conversations: Collection[ConversationId]) -> ForgetResult:
        # `which` is one of the two literals above, never user input.
        chosen = f"(platform, event_id) IN (SELECT platform, event_id FROM messages WHERE {which})"  # noqa: S608
        counts: dict[str, int] = {}
        async with self._database.transaction() as connection:
            for table in ("turns", "sources", "attachments", "parts"):
                cursor = await connection.execute(f"DELETE FROM {table} WHERE {chosen}", (value,))  # noqa: S608
                counts[table] = cursor.rowcount
            await connection.execute(f"UPDATE answers SET text = NULL, note = NULL WHERE {chosen}", (value,))  # noqa: S608
            # The ids stay, so that a redelivered message gets no second answer.
            cursor = await connection.execute(
                "UPDATE messages SET conversation = '', person = '', message = NULL, question = NULL,"  # noqa: S608
                f" state = CASE WHEN state IN ('received', 'answering', 'written') THEN 'cancelled' ELSE state END"
                f" WHERE {which}",
                (value,),
            )
            if which.startswith("conversation"):
                await connection.execute("DELETE FROM conversations WHERE id = ?", (value,))
        await self._database.checkpoint()
        return ForgetResult(counts["turns"], cursor.rowcount, counts["attachments"], frozenset(conversations))

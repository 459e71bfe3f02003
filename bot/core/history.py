"""The history database: turns, sources and language of each conversation, and statistics of answers."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from bot.core.epochs import Epochs
from bot.core.erasure import Erasure
from bot.core.journal import Journal
from bot.core.messages import Audience, ConversationId, Source, Timings
from bot.core.prompt_building import PastTurn
from bot.core.records import timings_from_json
from bot.core.texts import Language
from knowledge.sqlite import Database

DAY_S = 86_400.0
MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class AnswerStats:
    """An ended answer: its end in seconds since the epoch, its outcome and its timings."""

    ended_at: float
    outcome: str
    timings: Timings


class History:
    """The history database. Its `journal` makes answers exactly-once, its `erasure` deletes, and its `epochs` tell when
    what was read from it is outdated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.epochs = Epochs()
        self.journal = Journal(database, self.epochs)
        self.erasure = Erasure(database, self.epochs)

    @classmethod
    async def open(cls, path: Path) -> "History":
        """Open or create the database. Raises DatabaseTooNew, DatabaseDamaged."""
        database = await Database.open(path, MIGRATIONS)
        # Overwrites deleted text with zeros instead of only unlinking it.
        await database.execute("PRAGMA secure_delete = ON")
        await database.execute("PRAGMA temp_store = MEMORY")
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
            "SELECT turns.id, role, speaker, text, collections, people, private, turns.person"
            " FROM turns JOIN messages USING (platform, event_id)"
            " WHERE turns.conversation = ?1 AND state IN ('written', 'answered', 'cancelled') AND turns.id >="
            " COALESCE((SELECT first_turn FROM conversations WHERE id = ?1), 0) ORDER BY turns.id",
            (conversation,),
        )
        # Few lists of names differ, and all turns of a conversation are read for each message.
        encoded_lists = {encoded for row in rows for encoded in row[4:6]}
        names = {encoded: frozenset(json.loads(encoded)) for encoded in encoded_lists}
        return [
            PastTurn(
                number,
                role,
                speaker,
                text,
                names[collections],
                names[people],
                private_to=person if private else "",
            )
            for number, role, speaker, text, collections, people, private, person in rows
        ]

    async def drop_turns_before(self, conversation: ConversationId, first_turn: int) -> None:
        """Keep turns older than `first_turn` out of prompts; they stay stored until they are forgotten."""
        await self._database.execute(
            "INSERT INTO conversations (id, first_turn) VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET first_turn = excluded.first_turn",
            (conversation, first_turn),
        )

    async def last_sources(
        self, conversation: ConversationId, audience: Audience, reader: str, event_id: str = ""
    ) -> tuple[Source, ...] | None:
        """The sources of the last answer of a conversation, or of the answer to one message; None without an answer.

        Private answers are those that `reader` alone has read, and reads alone now.
        """
        rows = await self._database.fetch_rows(
            "SELECT platform, event_id FROM messages JOIN answers USING (platform, event_id)"
            " WHERE conversation = ?1 AND state IN ('written', 'answered', 'cancelled') AND ?2 IN ('', event_id)"
            " AND (NOT answers.private OR (?3 AND person = ?4))"
            # Not by `ended_at`: the clock may have been set back.
            " ORDER BY answers.rowid DESC LIMIT 1",
            (conversation, event_id, audience.private, reader),
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

"""What a killed process leaves in its journal, read from a copy so that the next process finds it untouched."""

import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

DATABASE = "history.sqlite3"
OPEN = ("received", "answering", "written")


@dataclass(frozen=True)
class Entry:
    """A message in the journal. `parts` is how many posted messages it knows, `turns` how many turns it left."""

    state: str
    attempts: int
    crashes: int
    parts: int
    turns: int
    keeps_text: bool


@dataclass(frozen=True)
class Remains:
    """The journal by event id, and what SQLite says of the file: `ok` or what is damaged."""

    entries: Mapping[str, Entry]
    integrity: str

    @property
    def answering(self) -> set[str]:
        """The questions over which this death counts as a crash."""
        return {event_id for event_id, entry in self.entries.items() if entry.state == "answering"}


def read_remains(data_folder: Path) -> Remains:
    """Read the journal of a dead process, its write-ahead log included. No journal yet: no entries."""
    with tempfile.TemporaryDirectory() as folder:
        for file in data_folder.glob(f"{DATABASE}*"):
            shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / DATABASE)) as database:
            integrity = "; ".join(row[0] for row in database.execute("PRAGMA integrity_check"))
            return Remains(_entries(database), integrity)


def _entries(database: sqlite3.Connection) -> dict[str, Entry]:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchone():
        return {}
    rows = database.execute(
        "SELECT event_id, state, attempts, crashes,"
        " (SELECT count(*) FROM parts WHERE parts.event_id = messages.event_id),"
        " (SELECT count(*) FROM turns WHERE turns.event_id = messages.event_id),"
        " message IS NOT NULL FROM messages"
    )
    return {row[0]: Entry(*row[1:6], bool(row[6])) for row in rows}

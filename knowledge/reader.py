"""The port for reading files: documents split into draft passages, or an error that says why not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from knowledge.passages import PassageLocation


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read. `document` is its path below the collection's `folder`, with forward slashes.

    `template` renders a row of a CSV or JSONL file, with `{column}` for each column; empty: one line per column.
    """

    folder: Path
    document: str
    template: str = ""


@dataclass(frozen=True, slots=True)
class PassageDraft:
    """A passage not stored yet.

    `text` is `document_text[place.start:place.end]`; where that begins inside a table, below the table's header.
    """

    place: PassageLocation
    text: str


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document: a file, or one row of a CSV or JSONL file (`document` then ends in `#row-N`).

    `language` is an ISO 639-1 code, empty when unclear. An unreadable row has no drafts, but a `problem`: a
    sentence. `unread` says which parts of a document were not read, and why: a sentence, empty for none.
    """

    document: str
    title: str
    language: str
    drafts: tuple[PassageDraft, ...]
    problem: str = ""
    unread: str = ""


@dataclass(eq=False)
class FileUnreadable(Exception):
    """A file that cannot be read; `reason` is a sentence."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


class DocumentReader(Protocol):
    """Turns files into documents."""

    async def read_file(self, source: SourceFile) -> list[ReadDocument]:
        """Read, parse and split one file. Raises FileUnreadable; a bad file never affects another."""
        ...

    async def read_bytes(self, name: str, data: bytes) -> list[ReadDocument]:
        """Read a file in memory, such as an attachment; the suffix of `name` is its type. Raises FileUnreadable."""
        ...

    async def close(self) -> None:
        """Release the resources of reading."""
        ...

"""What reading a file yields: documents cut into drafts of passages, or the sentence that says why not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from knowledge.passages import PassageLocation


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read. `document` is its path below the collection's folder, with forward slashes.

    `template` renders a row of a CSV or JSONL file, `{column}` for each column; empty: a column on each line.
    """

    path: Path
    document: str
    template: str = ""


@dataclass(frozen=True, slots=True)
class PassageDraft:
    """A passage not stored yet. `text` is `document_text[place.start:place.end]`, without its outer white space."""

    place: PassageLocation
    text: str


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document read: a file, or one row of a CSV or JSONL file (`document` then ends in `#row-N`).

    `language` is an ISO 639-1 code, empty when unclear. A row that cannot be read has no drafts, and a sentence as its
    `problem`.
    """

    document: str
    title: str
    language: str
    drafts: tuple[PassageDraft, ...]
    problem: str = ""


@dataclass(eq=False)
class FileUnreadable(Exception):
    """A file that cannot be read; `reason` is a sentence that names what is wrong with it."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


class DocumentReader(Protocol):
    """Turns files into documents."""

    async def read_file(self, source: SourceFile) -> list[ReadDocument]:
        """Read, parse and split one file. Raises Unreadable; never lets a bad file harm another."""
        ...

    async def read_bytes(self, name: str, data: bytes) -> list[ReadDocument]:
        """Read a file that is in memory, such as one sent with a question; `name` tells its kind. Raises Unreadable."""
        ...

    async def close(self) -> None:
        """End what reading needed."""
        ...

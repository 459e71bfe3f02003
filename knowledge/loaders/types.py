"""Types of the loaders: raw files, limits, and extracted documents."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from knowledge.reader import FileUnreadable

TITLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file's bytes; `name` selects the loader, `template` renders a row of a CSV or JSONL file.

    `skipped_bytes`: the bytes before `data` of a log that is larger than the limit.
    """

    name: str
    data: bytes
    template: str = ""
    skipped_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Size limits: bytes of the file, characters of its text, rows of its table.

    `recognised_pages`: most pages of a scan whose text is recognised.
    """

    file_bytes: int = 50_000_000
    text_characters: int = 10_000_000
    rows: int = 50_000
    recognised_pages: int = 8


@dataclass(frozen=True, slots=True)
class ExtractedDocument:
    """The normalised text of a document (see `decoding.normalise_text`).

    `pages` holds the start offset of each page in order. An unreadable row has no text, but a `problem`: a sentence.
    `unread` says which parts of a document were not read, and why: a sentence, empty for none.
    """

    text: str
    title: str
    markdown: bool = False
    pages: tuple[int, ...] = ()
    row: int | None = None
    problem: str = ""
    unread: str = ""


def document_title(candidate: str, name: str) -> str:
    """The candidate on one line, truncated; if it is blank, the file's name without its suffix."""
    return " ".join(candidate.split())[:TITLE_CHARACTERS] or PurePosixPath(name).stem.replace("_", " ")


def check_text_size(limits: LoadLimits, characters: int) -> None:
    """Raise FileUnreadable when a file holds more text than the limit."""
    if characters > limits.text_characters:
        raise FileUnreadable(
            f"The file holds more than {limits.text_characters:,} characters of text, which is the limit: "
            "split it, or raise text_limit_characters."
        )

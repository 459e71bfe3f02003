"""Protocol between parent and reading process: length-prefixed JSON frames, validated on receipt."""

import struct
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

HEADER = struct.Struct(">I")
FRAME_LIMIT_BYTES = 4_000_000
"""Far above any valid frame: a batch of drafts ends at `BATCH_CHARACTERS`."""
BATCH_CHARACTERS = 64_000
SENTENCE_CHARACTERS = 1000


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ReadRequest(_Frame):
    """Read one file: `name` below `folder`, or without a folder the `size_bytes` bytes that follow this frame."""

    kind: Literal["read"] = "read"
    name: str
    folder: str = ""
    size_bytes: int = 0
    template: str = ""


class ChildReady(_Frame):
    """The process has loaded its parsers and applied its limits."""

    kind: Literal["ready"] = "ready"


class DocumentStart(_Frame):
    """The start of a document; its drafts follow. `row` is set for a row of a CSV or JSONL file."""

    kind: Literal["document"] = "document"
    row: int | None = Field(default=None, ge=1)
    title: str = Field(max_length=300)
    language: str = Field(pattern="^([a-z]{2,3})?$")
    problem: str = Field(default="", max_length=SENTENCE_CHARACTERS)
    unread: str = Field(default="", max_length=SENTENCE_CHARACTERS)


class DraftFrame(_Frame):
    """A passage: the span in its document, and the text, which may begin with the header of a table."""

    heading: list[Annotated[str, Field(max_length=300)]] = Field(max_length=10)
    page: int | None = Field(default=None, ge=1)
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    text: str = Field(min_length=1, max_length=20_000)


class DraftBatch(_Frame):
    """Passages of the current document."""

    kind: Literal["drafts"] = "drafts"
    drafts: list[DraftFrame]


class FileDone(_Frame):
    """The file has been read completely."""

    kind: Literal["done"] = "done"


class FileRefused(_Frame):
    """The file cannot be read; `reason` is a sentence. `exhausted`: the process ran out of memory and exits."""

    kind: Literal["refused"] = "refused"
    reason: str = Field(max_length=SENTENCE_CHARACTERS)
    exhausted: bool = False


class ChildCrashed(_Frame):
    """An unexpected error in a parser; the process exits. `error` is its type and location, without content."""

    kind: Literal["crashed"] = "crashed"
    error: str = Field(max_length=SENTENCE_CHARACTERS)


ReadResponse = ChildReady | DocumentStart | DraftBatch | FileDone | FileRefused | ChildCrashed
READ_RESPONSE: TypeAdapter[ReadResponse] = TypeAdapter(Annotated[ReadResponse, Field(discriminator="kind")])


def pack_frame(frame: _Frame) -> bytes:
    """Encode a frame: four bytes of length, then JSON."""
    payload = frame.model_dump_json().encode()
    return HEADER.pack(len(payload)) + payload

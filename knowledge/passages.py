"""What the library finds and reports: passages with their place, hits, and the outcome of a reindex."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class PassageLocation:
    """Where a passage stands in its document.

    `start` and `end` are character offsets into the document's extracted text; `page` counts from 1 (PDF only);
    `row` counts data rows from 1 (CSV and JSONL only).
    """

    heading: tuple[str, ...] = ()
    page: int | None = None
    row: int | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of a document. `document` is the path below the collection's folder, with forward slashes."""

    id: int
    collection: str
    document: str
    title: str
    place: PassageLocation
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found. `score` is the fused score: higher is better, and questions can be compared by it.

    `ranks` says where each ranker, `bm25` and `vector`, put it among all candidates, from 1.
    """

    passage: Passage
    score: float
    ranks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first. `supported` is False when nothing found bears on the question, so no answer can rest on it."""

    hits: tuple[Hit, ...]
    supported: bool
    took_s: float


@dataclass(frozen=True, slots=True)
class FailedDocument:
    """A document that could not be read, and the sentence that says why."""

    collection: str
    document: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """What a reindex did, in documents; `failed` documents keep what was known of them before."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: tuple[FailedDocument, ...] = field(default=())
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReindexProgress:
    """How far a reindex has come: `done` of `total`. While reading they count files and `document` is the one in hand;
    while embedding they count passages; while scanning and saving, collections, and `document` names the one in hand.
    """

    phase: Literal["scanning", "reading", "embedding", "saving"]
    done: int
    total: int
    document: str = ""


@dataclass(frozen=True, slots=True)
class CollectionState:
    """What is indexed of one collection."""

    name: str
    documents: int
    passages: int
    failed: int
    index_ready: bool

"""Results of the library: passages with their location, hits, and reports of a reindex."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class PassageLocation:
    """The location of a passage in its document.

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
class WordShare:
    """A content word of a question. `share`: its part of a passage's score; `most`: that of an ideal passage.

    `passages`: the number of passages that have it.
    """

    word: str
    share: float
    most: float
    passages: int


@dataclass(frozen=True, slots=True)
class HitExplanation:
    """The parts of a fused score, which add up to it: `lexical`, `vector` (weighted) and `context`.

    `words` make up the lexical part, the heaviest first. `cosine` and `background` (the mean cosine of all passages)
    are None without vectors; `reranker` is its score, where one has read the passage.
    """

    lexical: float
    vector: float
    context: float
    threshold: float
    words: tuple[WordShare, ...] = ()
    cosine: float | None = None
    background: float | None = None
    reranker: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found. `score` is the fused score: higher is better, and comparable between questions.

    `ranks` holds its rank among all candidates, from 1, by ranker: `bm25`, `vector` and `reranker`. Where a reranker is
    set, hits are in its order, not in that of their scores. `explanation` is there when it was asked for.
    """

    passage: Passage
    score: float
    ranks: Mapping[str, int]
    explanation: HitExplanation | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first. `supported` is False when no hit is relevant enough to support an answer.

    `timings`: the seconds that each step took, by name; steps may run at the same time.
    """

    hits: tuple[Hit, ...]
    supported: bool
    took_s: float
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailedDocument:
    """An unreadable document, and the reason as a sentence."""

    collection: str
    document: str
    reason: str


LeftOutCause = Literal["kind", "junk", "link", "special"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files and folders of a collection that are not read, though nothing is wrong with them.

    `cause` and `name`: `kind`, a suffix that Hearth does not read (empty for none); `junk`, the rule that leaves them
    out; `link`, a linked folder (with a slash at its end), or a linked file whose target is elsewhere (empty for those
    beyond the first 50); `special`, pipes, sockets and devices.
    """

    collection: str
    cause: LeftOutCause
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class WithheldRemoval:
    """Documents that stay in the index, though their files are missing, until their removal is confirmed.

    `cause`: `vanished`, more than half of the collection is missing; `unmounted`, the share or disk that held them is
    not mounted; `unconfigured`, the settings do not name the collection, which is not searched.
    """

    collection: str
    documents: int
    cause: Literal["vanished", "unmounted", "unconfigured"]


@dataclass(frozen=True, slots=True)
class ReindexReport:
    """The results of a reindex, in documents; `failed` ones keep their earlier passages.

    `partly_read`: documents of which a part was not read, each with the part and the reason as a sentence.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: tuple[FailedDocument, ...] = ()
    withheld: tuple[WithheldRemoval, ...] = ()
    partly_read: tuple[FailedDocument, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    took_s: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether the index is now what the folders hold: nothing failed, and no removal is to be confirmed."""
        return not self.failed and not self.withheld


@dataclass(frozen=True, slots=True)
class ReindexProgress:
    """Progress of a reindex: `done` of `total` files while reading, passages while embedding, collections while
    scanning and saving. `document` names the current file or collection.
    """

    phase: Literal["scanning", "reading", "embedding", "saving"]
    done: int
    total: int
    document: str = ""


@dataclass(frozen=True, slots=True)
class CollectionState:
    """Counts of one collection.

    `embedder_changed`: its vectors were made by another embedder, so it is searched by words only until it is indexed
    again. `partly_read`: files of which a part was not read. `left_out`: files and folders left out by the last
    reindex, by cause. `languages`: its documents by the ISO 639-1 code of their language, empty for an unclear one.
    """

    name: str
    documents: int
    passages: int
    failed: int
    index_ready: bool
    embedder_changed: bool = False
    languages: Mapping[str, int] = field(default_factory=dict)
    partly_read: int = 0
    left_out: Mapping[LeftOutCause, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileState:
    """A file of a collection, as the last reindex left it.

    `read_at`: when it was last read, in seconds since 1970; None when it has not been, or by an earlier version.
    `failure`: why it could not be read, a sentence; its earlier passages stay. `unread`: which part was not read, and
    why. Both are empty for none.
    """

    collection: str
    path: str
    documents: int
    passages: int
    size_bytes: int
    read_at: float | None
    failure: str
    unread: str

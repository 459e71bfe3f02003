"""One reindex: looks at the files of collections, reads what changed, embeds what is new, and reports."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import xxhash

from knowledge.change_detection import Examined, examine, gone
from knowledge.embedding import Embedder
from knowledge.folder_scan import FolderUnreadable, Scan, scan
from knowledge.index_writer import FileChange, KnownFile, Ledger, Unembedded, prepare
from knowledge.lexical import Lexicon
from knowledge.passages import Failure, ReindexProgress, ReindexReport
from knowledge.reader import Reader, SourceFile, Unreadable
from knowledge.settings import CollectionSettings, KnowledgeSettings
from knowledge.vector_search import Neighbours
from knowledge.vectors import pack
from knowledge.worker_thread import SLICE_S, Worker

log = logging.getLogger(__name__)

READING_VERSION = 1
"""Raise it when loaders or splitting change what they make of the same file: everything is then read again."""

_PAGE = 64
"""Passages whose vectors are stored together: what a crash can cost, a few seconds of embedding."""
_BATCH = 8
_PATIENCE_S = 1.0
"""How long a batch waits for the language model to pause, so that a busy house still gets its documents indexed."""
_GLANCE_S = 0.02
_TELL_S = 0.1


class Teller:
    """Passes progress on, at most ten times a second and at each change of phase."""

    def __init__(self, listener: Callable[[ReindexProgress], None] | None) -> None:
        self._listener = listener
        self._phase = ""
        self._next = 0.0

    def tell(self, progress: ReindexProgress) -> None:
        """Pass on, unless something was just passed on."""
        now = time.monotonic()
        if self._listener is not None and (progress.phase != self._phase or now >= self._next):
            self._phase, self._next = progress.phase, now + _TELL_S
            self._listener(progress)


@dataclass
class _Tally:
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)

    def count(self, change: FileChange) -> None:
        self.added += change.added
        self.changed += change.changed
        self.removed += change.removed
        self.unchanged += change.unchanged


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a reindex works with. `index` embeds and owns usearch; `busy` says that the language model is generating."""

    settings: KnowledgeSettings
    ledger: Ledger
    neighbours: Neighbours
    embedder: Embedder
    reader: Reader
    index: Worker
    lexicon: Lexicon
    busy: Callable[[], bool]


class Reindex:
    """One run. The database is whole after every file and every page of vectors, so it can end at any moment."""

    def __init__(self, shop: Workshop, collections: Mapping[str, int], teller: Teller) -> None:
        self._shop = shop
        self._collections = collections
        self._teller = teller
        self._tally = _Tally()
        self._done = 0
        self._total = 0

    async def run(self) -> ReindexReport:
        """Do it. Raises EmbeddingFailed (what was read is found by its words), DatabaseUnusable, DatabaseDamaged."""
        began = time.monotonic()
        files = Worker("files")
        try:
            scans = await self._scan(files)
            for name, found in scans.items():
                await self._read_collection(files, name, found)
        finally:
            await files.close()
        await self._embed()
        await self._save()
        tally = self._tally
        return ReindexReport(
            tally.added,
            tally.changed,
            tally.removed,
            tally.unchanged,
            tuple(tally.failed),
            time.monotonic() - began,
        )

    async def _scan(self, files: Worker) -> dict[str, Scan]:
        scans: dict[str, Scan] = {}
        for name in self._collections:
            chosen = self._shop.settings.collections[name]
            self._teller.tell(ReindexProgress("scanning", len(scans), len(self._collections), name))
            try:
                scans[name] = await files.run(lambda c=chosen: scan(c.folder, c.include, c.exclude))  # type: ignore[misc]
            except FolderUnreadable as error:
                self._tally.failed.append(Failure(name, "", error.reason))
        self._total = sum(len(found.files) for found in scans.values())
        return scans

    async def _read_collection(self, files: Worker, name: str, found: Scan) -> None:
        key = self._collections[name]
        known = await self._shop.ledger.files(key)
        self._tally.failed += [Failure(name, missed.document, missed.reason) for missed in found.missed]
        recipe = _recipe(self._shop.settings, self._shop.settings.collections[name])
        async for batch in files.slices(examine(found.files, known, recipe)):
            await self._note_touched(key, batch)
            for examined in batch:
                await self._take(name, examined)
        await self._remove(gone(known, found))

    async def _note_touched(self, key: int, batch: Sequence[Examined]) -> None:
        touched = [examined.facts for examined in batch if examined.is_touched]
        if touched:
            await self._shop.ledger.touch(key, touched)

    async def _take(self, name: str, examined: Examined) -> None:
        self._teller.tell(ReindexProgress("reading", self._done, self._total, examined.file.document))
        self._done += 1
        if examined.is_unchanged and examined.known is not None:
            self._tally.unchanged += examined.known.documents
        elif examined.failure:
            await self._fail(name, examined, examined.failure)
        else:
            await self._read(name, examined)

    async def _read(self, name: str, examined: Examined) -> None:
        shop, file = self._shop, examined.file
        try:
            documents = await shop.reader.read(
                SourceFile(file.path, file.document, shop.settings.collections[name].template)
            )
        except Unreadable as error:
            await self._fail(name, examined, error.reason)
            return
        # A row that cannot be read costs itself; it is told now, and again whenever its file is read.
        self._tally.failed += [Failure(name, row.document, row.problem) for row in documents if row.problem]
        readable = [document for document in documents if not document.problem]
        batches = shop.index.slices(prepare(readable, shop.lexicon))
        self._tally.count(await shop.ledger.write(self._collections[name], examined.facts, batches))

    async def _fail(self, name: str, examined: Examined, reason: str) -> None:
        self._tally.failed.append(Failure(name, examined.file.document, reason))
        await self._shop.ledger.fail(self._collections[name], examined.file.document, reason)

    async def _remove(self, files: Sequence[KnownFile]) -> None:
        if files:
            await self._shop.ledger.remove(files)
            self._tally.removed += sum(file.documents for file in files)

    async def _embed(self) -> None:
        ledger = self._shop.ledger
        waiting = {key: await ledger.count_unembedded(key) for key in self._collections.values()}
        done, total = 0, sum(waiting.values())
        for key in (key for key, count in waiting.items() if count):
            after = 0
            while page := await ledger.unembedded(key, after, _PAGE):
                self._teller.tell(ReindexProgress("embedding", done, total))
                await ledger.add_vectors(key, await self._embed_page(page))
                await self._shop.neighbours.catch_up(key)
                after, done = page[-1].id, done + len(page)

    async def _embed_page(self, page: Sequence[Unembedded]) -> list[tuple[int, bytes]]:
        # Texts of like length together: a batch costs as much as its longest text, times their number.
        waiting = sorted(page, key=lambda passage: len(passage.text))
        vectors: list[tuple[int, bytes]] = []
        size = 1
        while waiting:
            batch, waiting = waiting[:size], waiting[size:]
            await self._wait_for_model()
            began = time.monotonic()
            made = await self._shop.index.run(lambda b=batch: self._shop.embedder.embed_passages([p.text for p in b]))  # type: ignore[misc]
            vectors += zip((passage.id for passage in batch), pack(made), strict=True)
            size = _next_size(len(batch), time.monotonic() - began)
        return vectors

    async def _wait_for_model(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while self._shop.busy() and time.monotonic() < deadline:  # noqa: ASYNC110 - a figure to look at, not an event
            await asyncio.sleep(_GLANCE_S)

    async def _save(self) -> None:
        neighbours = self._shop.neighbours
        for number, (name, key) in enumerate(self._collections.items()):
            self._teller.tell(ReindexProgress("saving", number, len(self._collections), name))
            await neighbours.catch_up(key)
            try:
                await neighbours.save(key)
            except OSError as error:
                log.warning(
                    "The vector index of %s could not be saved and will be rebuilt at the next start: %s", name, error
                )


def _next_size(size: int, took_s: float) -> int:
    """The largest batch that should take no longer than a slice, judging by the last one."""
    return max(1, min(_BATCH, int(size * SLICE_S / max(took_s, 1e-4))))


def _recipe(settings: KnowledgeSettings, collection: CollectionSettings) -> str:
    facts = repr((READING_VERSION, settings.reading.passage_characters, collection.template))
    return f"-{xxhash.xxh3_64_hexdigest(facts.encode())}"

"""One reindex: examines the files of collections, reads changed ones, embeds new passages, and reports."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import xxhash

from knowledge.bulk_embedding import BulkEmbedding
from knowledge.change_detection import ExaminedFile, examine_files, find_missing
from knowledge.embedding import Embedder
from knowledge.folder_scan import FolderScan, FolderUnreadable, ScanStep, join_steps, scan_steps
from knowledge.lexical import STEMMING_VERSION, WordStemmer
from knowledge.passages import FailedDocument, LeftOut, ReindexProgress, ReindexReport
from knowledge.prepared_documents import prepare_documents
from knowledge.reader import DocumentReader, FileUnreadable, SourceFile
from knowledge.removals import Removals
from knowledge.settings import CollectionSettings, KnowledgeSettings
from knowledge.store.index_writer import FileChange
from knowledge.store.store import KnowledgeStore
from knowledge.vector_search import VectorSearch
from knowledge.worker_thread import WorkerThread

log = logging.getLogger(__name__)

READING_VERSION = 3
"""To be raised when loaders or splitting produce other passages from the same file: every file is then read again."""

_PROGRESS_INTERVAL_S = 0.1
_FILES_CLOSE_LIMIT_S = 2.0
"""How long the end of a reindex waits for a disk."""


class ThrottledProgress:
    """Forwards progress at most ten times a second, and at each change of phase."""

    def __init__(self, listener: Callable[[ReindexProgress], None] | None) -> None:
        self._listener = listener
        self._phase = ""
        self._next = 0.0

    def report_progress(self, progress: ReindexProgress) -> None:
        """Forward a report, unless one was forwarded less than a tenth of a second ago."""
        now = time.monotonic()
        if self._listener is not None and (progress.phase != self._phase or now >= self._next):
            self._phase, self._next = progress.phase, now + _PROGRESS_INTERVAL_S
            self._listener(progress)


@dataclass
class _Tally:
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: list[FailedDocument] = field(default_factory=list)
    partly_read: list[FailedDocument] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def add_change(self, change: FileChange) -> None:
        self.added += change.added
        self.changed += change.changed
        self.removed += change.removed
        self.unchanged += change.unchanged


@dataclass(frozen=True, slots=True)
class ReindexContext:
    """The parts a reindex works with. `index_thread` owns the stemmer and usearch."""

    settings: KnowledgeSettings
    store: KnowledgeStore
    vector_search: VectorSearch
    embedder: Embedder
    reader: DocumentReader
    index_thread: WorkerThread
    stemmer: WordStemmer
    bulk_embedding: BulkEmbedding


@dataclass(frozen=True, slots=True)
class ReindexRequest:
    """The collections to bring up to date, by name. `is_complete`: they are all that the settings name."""

    collections: Mapping[str, int]
    is_complete: bool = False
    confirm_removals: bool = False


class Reindex:
    """One run. The database is consistent after every file and every page of vectors, so a run may stop anywhere."""

    def __init__(self, context: ReindexContext, request: ReindexRequest, progress: ThrottledProgress) -> None:
        self._context = context
        self._request = request
        self._collections = request.collections
        self._progress = progress
        self._files = WorkerThread("files")
        self._removals = Removals(context.store, confirmed=request.confirm_removals)
        self._tally = _Tally()
        self._done = 0
        self._total = 0

    async def run(self) -> ReindexReport:
        """Run to the end. Raises EmbeddingFailed (new passages then have no vectors yet), DatabaseUnusable,
        DatabaseDamaged.
        """
        began = time.monotonic()
        try:
            scans = await self._scan()
            for name, found in scans.items():
                await self._read_collection(name, found)
        finally:
            await self._files.close(_FILES_CLOSE_LIMIT_S)
        await self._embed()
        if self._request.is_complete:  # now that documents of a renamed collection have taken over its vectors
            await self._removals.remove_unconfigured(self._context.settings.collections)
        await self._save()
        return self._report(time.monotonic() - began)

    def _report(self, took_s: float) -> ReindexReport:
        tally, removals = self._tally, self._removals
        return ReindexReport(
            tally.added,
            tally.changed,
            tally.removed + removals.documents,
            tally.unchanged,
            tuple(tally.failed),
            tuple(removals.withheld),
            tuple(tally.partly_read),
            tuple(tally.left_out),
            took_s,
        )

    async def _scan(self) -> dict[str, FolderScan]:
        scans: dict[str, FolderScan] = {}
        for name in self._collections:
            self._progress.report_progress(ReindexProgress("scanning", len(scans), len(self._collections), name))
            try:
                scans[name] = await self._scan_folder(self._context.settings.collections[name])
            except FolderUnreadable as error:
                self._tally.failed.append(FailedDocument(name, "", error.reason))
            except TimeoutError:
                await self._give_up_folder(name)
        self._total = sum(len(found.files) for found in scans.values())
        for name, found in scans.items():
            left_out = [LeftOut(name, entry.cause, entry.name, count) for entry, count in found.left_out.items()]
            await self._context.store.writer.set_left_out(self._collections[name], left_out)
            self._tally.left_out += left_out
        return scans

    async def _scan_folder(self, chosen: CollectionSettings) -> FolderScan:
        steps: list[ScanStep] = []
        scanning = scan_steps(chosen.folder, chosen.include, chosen.exclude, self._context.settings.junk)
        async for batch in self._files.run_slices(scanning, limit_s=self._context.settings.reading.time_limit_s):
            steps += batch
        return await self._files.run(partial(join_steps, steps))

    async def _give_up_folder(self, name: str) -> None:
        """Leave a thread behind that waits for a disk, and go on with another one and the next collection."""
        reading = self._context.settings.reading
        reason = (
            f"The folder {self._context.settings.collections[name].folder} has not answered for "
            f"{reading.time_limit_s:g} s (time_limit_s): is its share or disk there? Its documents stay as they are."
        )
        self._tally.failed.append(FailedDocument(name, "", reason))
        await self._files.close(limit_s=0)
        self._files = WorkerThread("files")

    async def _read_collection(self, name: str, found: FolderScan) -> None:
        key, settings = self._collections[name], self._context.settings
        writer = self._context.store.writer
        known = await writer.indexed_files(key)
        for entry in found.unreadable:
            await self._fail(name, entry.document, entry.reason)
        recipe = _recipe(settings, settings.collections[name])
        hashes: set[str] = set()
        examining = examine_files(found.files, known, recipe, settings.reading.load_limits())
        try:
            async for batch in self._files.run_slices(examining, limit_s=settings.reading.time_limit_s):
                hashes |= {examined.facts.hash for examined in batch} - {""}
                await self._update_touched(key, batch)
                for examined in batch:
                    await self._process_file(name, examined)
        except TimeoutError:
            await self._give_up_folder(name)
            return
        mounts = await writer.mounts(key)
        missing = await self._files.run(partial(find_missing, known, found, hashes, mounts))
        await self._removals.remove_files(name, missing)
        if not missing.unmounted or self._request.confirm_removals:
            await writer.set_mounts(key, found.mounts)

    async def _update_touched(self, key: int, batch: Sequence[ExaminedFile]) -> None:
        touched = [examined.facts for examined in batch if examined.is_touched]
        if touched:
            await self._context.store.writer.update_file_facts(key, touched)

    async def _process_file(self, name: str, examined: ExaminedFile) -> None:
        self._progress.report_progress(ReindexProgress("reading", self._done, self._total, examined.file.document))
        self._done += 1
        if examined.is_unchanged and examined.known is not None:
            self._tally.unchanged += examined.known.documents
            self._note_unread(name, examined.file.document, examined.known.unread)
        elif examined.failure:
            await self._fail(name, examined.file.document, examined.failure)
        else:
            await self._read_file(name, examined)

    async def _read_file(self, name: str, examined: ExaminedFile) -> None:
        context, file = self._context, examined.file
        try:
            documents = await context.reader.read_file(
                SourceFile(file.folder, file.document, context.settings.collections[name].template)
            )
        except FileUnreadable as error:
            await self._fail(name, file.document, error.reason)
            return
        # An unreadable row fails alone; it is reported each time its file is read.
        self._tally.failed += [FailedDocument(name, row.document, row.problem) for row in documents if row.problem]
        readable = [document for document in documents if not document.problem]
        unread = " ".join(dict.fromkeys(document.unread for document in documents if document.unread))
        self._note_unread(name, file.document, unread)
        batches = context.index_thread.run_slices(prepare_documents(readable, context.stemmer))
        key = self._collections[name]
        self._tally.add_change(await context.store.writer.write_file(key, examined.facts, batches, unread))

    def _note_unread(self, name: str, document: str, unread: str) -> None:
        if unread:
            self._tally.partly_read.append(FailedDocument(name, document, unread))

    async def _fail(self, name: str, document: str, reason: str) -> None:
        self._tally.failed.append(FailedDocument(name, document, reason))
        await self._context.store.writer.record_failure(self._collections[name], document, reason)

    async def _embed(self) -> None:
        context = self._context
        missing = {key: await context.store.vectors.count_unembedded(key) for key in self._collections.values()}
        done, total = 0, sum(missing.values())
        if not total:
            return
        for key in missing:
            self._progress.report_progress(ReindexProgress("embedding", done, total))
            async for added in context.bulk_embedding.embed_collection(key):
                await context.vector_search.update_index(key)
                done = min(done + added, total)
                self._progress.report_progress(ReindexProgress("embedding", done, total))

    async def _save(self) -> None:
        vector_search = self._context.vector_search
        for number, (name, key) in enumerate(self._collections.items()):
            self._progress.report_progress(ReindexProgress("saving", number, len(self._collections), name))
            await vector_search.update_index(key)
            try:
                await vector_search.save_index(key)
            except OSError as error:
                log.warning("Could not save the vector index of %s, so the next start rebuilds it: %s", name, error)
        if self._tally.changed or self._tally.removed or self._removals.documents:
            await self._context.store.erase_deleted()
            await vector_search.delete_stale_files()


def _recipe(settings: KnowledgeSettings, collection: CollectionSettings) -> str:
    facts = repr((READING_VERSION, STEMMING_VERSION, settings.reading.passage_characters, collection.template))
    return f"-{xxhash.xxh3_64_hexdigest(facts.encode())}"

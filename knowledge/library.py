"""The face of the knowledge room: opens the collections, searches them, and brings them up to date."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge import fusion
from knowledge.embedding import Embedder, EmbeddingFailed
from knowledge.fusion import RankedPassage
from knowledge.index_writer import IndexWriter
from knowledge.indexing import Reindex, ReindexContext, ThrottledProgress
from knowledge.lexical import WordStemmer
from knowledge.passages import CollectionState, Hit, Passage, ReindexProgress, ReindexReport, SearchResult
from knowledge.reader import DocumentReader
from knowledge.searching import Searcher
from knowledge.settings import CollectionSettings, KnowledgeSettings
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from knowledge.store import KnowledgeStore
from knowledge.vector_search import VectorSearch
from knowledge.worker_thread import WorkerThread

log = logging.getLogger(__name__)


@dataclass(eq=False)
class UnknownCollection(Exception):
    """A collection was named that the settings do not have."""

    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        have = ", ".join(self.known) or "none"
        return f"There is no collection {self.name!r}; the config has: {have}."


class ReindexRunning(Exception):
    """A reindex was asked for while one runs."""

    def __str__(self) -> str:
        return "The documents are being indexed already: wait until that has ended."


class LibraryClosed(Exception):
    """The library was closed while a reindex was running; what it had stored stays."""

    def __str__(self) -> str:
        return "Indexing stopped because Hearth is closing; the next one goes on from there."


class Library:
    """The documents. Opened by `open`; every method belongs to the event loop that opened it."""

    def __init__(
        self, store: KnowledgeStore, neighbours: VectorSearch, workshop: ReindexContext, ids: Mapping[str, int]
    ) -> None:
        self._store = store
        self._vector_search = neighbours
        self._reindex_context = workshop
        self._ids = ids
        self._searcher = Searcher(store, neighbours, workshop.embedder)
        self._running: asyncio.Task[ReindexReport] | None = None
        self._index_update: asyncio.Task[None] | None = None
        self._closing = False

    @classmethod
    async def open(
        cls,
        settings: KnowledgeSettings,
        embedder: Embedder,
        reader: DocumentReader,
        data_folder: Path,
        *,
        busy: Callable[[], bool] = lambda: False,
    ) -> "Library":
        """Open the database and the vector indexes below `data_folder`; the embedding model is loaded by the first use.

        What is stored of collections that the settings do not have any more is deleted. `busy` is True while the
        language model is generating. Raises DatabaseTooNew, DatabaseDamaged, DatabaseUnusable.
        """
        store = await KnowledgeStore.open(data_folder)
        index = WorkerThread("index")
        try:
            ids = await store.set_collections(settings.collections)
            neighbours = VectorSearch(store, index, data_folder, embedder.dimension)
            shop = ReindexContext(
                settings, IndexWriter(store), neighbours, embedder, reader, index, WordStemmer(), busy
            )
            library = cls(store, neighbours, shop, ids)
            await library._check_embedder()
        except BaseException:
            await index.close()
            await store.close()
            raise
        return library

    @property
    def collections(self) -> Mapping[str, CollectionSettings]:
        """The collections of the settings, by name."""
        return self._reindex_context.settings.collections

    @property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """Who may read each collection, by its name."""
        return {name: collection.readers for name, collection in self.collections.items()}

    async def search(
        self, question: str, collections: Collection[str], *, limit: int = 6, context: str = ""
    ) -> SearchResult:
        """The passages of the collections named that bear on a question, best first, at most `limit`.

        `context`: what was asked before; what bears on it comes a little higher. Without a working embedding model
        words alone decide. Raises UnknownCollection, DatabaseDamaged, DatabaseUnusable.
        """
        began = time.monotonic()
        keys = [self._id(name) for name in sorted(set(collections))]
        texts = [text for text in (question, context) if text.strip()]
        if not keys or not question.strip():
            return SearchResult((), False, time.monotonic() - began)
        ranked = fusion.fuse_scores(*await self._searcher.score_candidates(texts, keys))
        hits = await self._hits(ranked[:limit])
        return SearchResult(hits, fusion.is_supported(ranked), time.monotonic() - began)

    async def get_passage(self, passage_id: int) -> Passage | None:
        """A passage by its id; None when it is gone."""
        return (await self._store.get_passages([passage_id])).get(passage_id)

    async def collection_states(self) -> tuple[CollectionState, ...]:
        """What is indexed of each collection, by name."""
        ready = {
            name: self._searcher.vectors_match_embedder and self._vector_search.is_index_ready(key)
            for name, key in self._ids.items()
        }
        return await self._store.collection_states(ready)

    async def reindex(
        self,
        collections: Collection[str] | None = None,
        on_progress: Callable[[ReindexProgress], None] | None = None,
    ) -> ReindexReport:
        """Bring the collections named (all) up to date with their folders; only what changed is read and embedded.

        `on_progress` is called on the event loop, about ten times a second at most. Raises ReindexRunning,
        UnknownCollection, EmbeddingFailed, LibraryClosed, DatabaseDamaged, DatabaseUnusable; whatever was stored
        until then stays, and the next reindex goes on from there.
        """
        if self._running is not None:
            raise ReindexRunning
        names = sorted(self._ids if collections is None else set(collections))
        chosen = {name: self._id(name) for name in names}
        self._running = asyncio.create_task(self._reindex(chosen, ThrottledProgress(on_progress)))
        try:
            return await self._running
        except asyncio.CancelledError:
            if self._closing:
                raise LibraryClosed from None
            raise
        finally:
            self._running = None

    async def close(self) -> None:
        """Stop a running reindex, save the vector indexes that are complete, and end the threads.

        What is stored stays, and the next opening goes on from it.
        """
        self._closing = True
        for task in (self._running, self._index_update):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        try:
            for key in self._ids.values():
                await self._vector_search.save_index(key)
        except (OSError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("A vector index could not be saved and will be made again: %s", error)
        await self._searcher.close()
        await self._reindex_context.index_thread.close()
        await self._store.close()

    def _id(self, name: str) -> int:
        if name not in self._ids:
            raise UnknownCollection(name, tuple(sorted(self._ids)))
        return self._ids[name]

    async def _check_embedder(self) -> None:
        await self._vector_search.open(self._ids.values())
        ledger = self._reindex_context.writer
        try:
            fingerprint = await self._searcher.embedder_fingerprint()
        except EmbeddingFailed as error:
            log.error("%s Until that is mended, documents are found by their words only.", error)
            return
        known = await ledger.stored_fingerprint()
        if not known:
            await ledger.reset_vectors(fingerprint)
        elif known != fingerprint:
            log.warning("The embedding model has changed: until the next reindex documents are found by words only.")
            return
        self._searcher.vectors_match_embedder = True
        self._index_update = asyncio.create_task(self._update_indexes())

    async def _update_indexes(self) -> None:
        """Make every vector index complete; until one is, an exact scan answers in its place."""
        try:
            for key in self._ids.values():
                await self._vector_search.update_index(key)
                await self._vector_search.save_index(key)
        except (OSError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("A vector index could not be made complete: %s", error)

    async def _reindex(self, chosen: Mapping[str, int], teller: ThrottledProgress) -> ReindexReport:
        shop = self._reindex_context
        fingerprint = await self._searcher.embedder_fingerprint()
        if await shop.writer.stored_fingerprint() != fingerprint:
            await shop.writer.reset_vectors(fingerprint)
            self._vector_search.drop_indexes()
        self._searcher.vectors_match_embedder = True
        return await Reindex(shop, chosen, teller).run()

    async def _hits(self, ranked: Sequence[RankedPassage]) -> tuple[Hit, ...]:
        passages = await self._store.get_passages([item.passage_id for item in ranked])
        found = (item for item in ranked if item.passage_id in passages)
        return tuple(Hit(passages[item.passage_id], item.score, item.ranks) for item in found)

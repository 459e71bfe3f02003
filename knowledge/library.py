"""Public interface of document search: opens collections, searches them, and reindexes them."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge import fusion
from knowledge.embedding import Embedder, EmbeddingFailed
from knowledge.fusion import RankedPassage
from knowledge.indexing import Reindex, ReindexContext, ThrottledProgress
from knowledge.lexical import WordStemmer
from knowledge.passages import CollectionState, Hit, Passage, ReindexProgress, ReindexReport, SearchResult
from knowledge.reader import DocumentReader
from knowledge.searching import Searcher
from knowledge.settings import CollectionSettings, KnowledgeSettings
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from knowledge.store.store import KnowledgeStore
from knowledge.vector_search import VectorSearch
from knowledge.worker_thread import WorkerThread

log = logging.getLogger(__name__)


@dataclass(eq=False)
class UnknownCollection(Exception):
    """A named collection that the settings do not have."""

    user_facing = True
    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        have = ", ".join(self.known) or "none"
        return f"There is no collection {self.name!r}; the config has: {have}."


class ReindexRunning(Exception):
    """A second reindex was requested while one is running."""

    user_facing = True

    def __str__(self) -> str:
        return "Indexing is already running. Please wait until it finishes."


class LibraryClosed(Exception):
    """The library was closed during a reindex; changes stored so far stay."""

    user_facing = True

    def __str__(self) -> str:
        return "Indexing stopped because Hearth is closing; the next one goes on from there."


class Library:
    """The documents. Create it with `open`; every method must run on the event loop that opened it."""

    def __init__(
        self, store: KnowledgeStore, vector_search: VectorSearch, context: ReindexContext, ids: Mapping[str, int]
    ) -> None:
        self._store = store
        self._vector_search = vector_search
        self._reindex_context = context
        self._ids = ids
        self._searcher = Searcher(store, vector_search, context.embedder)
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
        is_model_busy: Callable[[], bool] = lambda: False,
    ) -> "Library":
        """Open the database and the vector indexes below `data_folder`; the embedding model is loaded on first use.

        Collections that the settings no longer have are deleted. `is_model_busy` is True while the language model
        generates. Raises DatabaseTooNew, DatabaseDamaged, DatabaseUnusable.
        """
        store = await KnowledgeStore.open(data_folder)
        index_thread = WorkerThread("index")
        try:
            ids = await store.writer.set_collections(settings.collections)
            vector_search = VectorSearch(store.vectors, index_thread, data_folder, embedder.dimension)
            context = ReindexContext(
                settings, store, vector_search, embedder, reader, index_thread, WordStemmer(), is_model_busy
            )
            library = cls(store, vector_search, context, ids)
            await library._check_embedder()
        except BaseException:
            await index_thread.close()
            await store.close()
            raise
        return library

    @property
    def collections(self) -> Mapping[str, CollectionSettings]:
        """The collections of the settings, by name."""
        return self._reindex_context.settings.collections

    @property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """Reader names of each collection, by the collection's name."""
        return {name: collection.readers for name, collection in self.collections.items()}

    async def search(
        self, question: str, collections: Collection[str], *, limit: int = 6, context: str = ""
    ) -> SearchResult:
        """The passages of the named collections that are relevant to a question, best first, at most `limit`.

        `context`: the previous question; passages relevant to it rank a little higher. Without a working embedding
        model only full-text search is used. Raises UnknownCollection, DatabaseDamaged, DatabaseUnusable.
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
        """A passage by its id; None when it no longer exists."""
        return (await self._store.reader.get_passages([passage_id])).get(passage_id)

    async def collection_states(self) -> tuple[CollectionState, ...]:
        """Counts of each collection, ordered by name."""
        ready = {
            name: self._searcher.vectors_match_embedder and self._vector_search.is_index_ready(key)
            for name, key in self._ids.items()
        }
        return await self._store.reader.collection_states(ready)

    async def reindex(
        self,
        collections: Collection[str] | None = None,
        on_progress: Callable[[ReindexProgress], None] | None = None,
    ) -> ReindexReport:
        """Bring the named collections (default: all) up to date with their folders; only changes are read and embedded.

        `on_progress` is called on the event loop, about ten times a second at most. Raises ReindexRunning,
        UnknownCollection, EmbeddingFailed, LibraryClosed, DatabaseDamaged, DatabaseUnusable; changes stored until
        then stay, and the next reindex continues from them.
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
        """Stop a running reindex, save complete vector indexes, and end the threads."""
        self._closing = True
        for task in (self._running, self._index_update):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        try:
            for key in self._ids.values():
                await self._vector_search.save_index(key)
        except (OSError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("Could not save a vector index, so the next start rebuilds it: %s", error)
        await self._searcher.close()
        await self._reindex_context.index_thread.close()
        await self._store.close()

    def _id(self, name: str) -> int:
        if name not in self._ids:
            raise UnknownCollection(name, tuple(sorted(self._ids)))
        return self._ids[name]

    async def _check_embedder(self) -> None:
        await self._vector_search.open(self._ids.values())
        vectors = self._store.vectors
        try:
            fingerprint = await self._searcher.embedder_fingerprint()
        except EmbeddingFailed as error:
            log.error("Searching by words only until the embedding model works: %s", error)
            return
        known = await vectors.stored_fingerprint()
        if not known:
            await vectors.reset_vectors(fingerprint)
        elif known != fingerprint:
            log.warning("Searching by words only until the next reindex: the embedding model has changed.")
            return
        self._searcher.vectors_match_embedder = True
        self._index_update = asyncio.create_task(self._update_indexes())

    async def _update_indexes(self) -> None:
        """Complete every vector index; until then an exact scan answers in its place."""
        try:
            for key in self._ids.values():
                await self._vector_search.update_index(key)
                await self._vector_search.save_index(key)
        except (OSError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("Could not complete a vector index: %s", error)

    async def _reindex(self, chosen: Mapping[str, int], progress: ThrottledProgress) -> ReindexReport:
        fingerprint = await self._searcher.embedder_fingerprint()
        if await self._store.vectors.stored_fingerprint() != fingerprint:
            await self._store.vectors.reset_vectors(fingerprint)
            self._vector_search.drop_indexes()
        self._searcher.vectors_match_embedder = True
        return await Reindex(self._reindex_context, chosen, progress).run()

    async def _hits(self, ranked: Sequence[RankedPassage]) -> tuple[Hit, ...]:
        passages = await self._store.reader.get_passages([item.passage_id for item in ranked])
        found = (item for item in ranked if item.passage_id in passages)
        return tuple(Hit(passages[item.passage_id], item.score, item.ranks) for item in found)

"""Public interface of document search: opens collections, searches them, and reindexes them."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from knowledge import fusion
from knowledge.bulk_embedding import BulkEmbedding
from knowledge.duplicates import distinct_first
from knowledge.embedding import Embedder, EmbeddingFailed, text_to_embed
from knowledge.explanation import Explainer
from knowledge.fusion import RankedPassage
from knowledge.indexing import Reindex, ReindexContext, ReindexRequest, ThrottledProgress
from knowledge.lexical import WordStemmer
from knowledge.passages import (
    CollectionState,
    FileState,
    Hit,
    LeftOut,
    Passage,
    ReindexProgress,
    ReindexReport,
    SearchResult,
    WithheldRemoval,
)
from knowledge.reader import DocumentReader
from knowledge.removals import withheld_collections
from knowledge.reranking.order import RerankedOrder, Reranking
from knowledge.searching import Searcher
from knowledge.settings import CollectionSettings, KnowledgeSettings
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from knowledge.store.store import KnowledgeStore
from knowledge.vector_search import VectorSearch
from knowledge.worker_thread import WorkerThread

log = logging.getLogger(__name__)

_FILES_PAGE = 50
_SPARE_HITS = 20
"""Passages looked at beyond those asked for, to replace copies of others."""


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
        self,
        store: KnowledgeStore,
        vector_search: VectorSearch,
        context: ReindexContext,
        ids: Mapping[str, int],
        *,
        on_indexed: Callable[[Sequence[CollectionState]], None],
        reranking: Reranking | None,
    ) -> None:
        self._store = store
        self._vector_search = vector_search
        self._reindex_context = context
        self._ids = ids
        self._on_indexed = on_indexed
        self._searcher = Searcher(store, vector_search, context.embedder)
        self._explainer = Explainer(store.reader, self._searcher)
        self._reranking = reranking
        self._embedder_changed: set[int] = set()
        self._running: asyncio.Task[ReindexReport] | None = None
        self._running_gives_way = False
        self._superseded: asyncio.Task[ReindexReport] | None = None
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
        reranking: Reranking | None = None,
        on_indexed: Callable[[Sequence[CollectionState]], None] = lambda _: None,
    ) -> "Library":
        """Open the database and the vector indexes below `data_folder`; the embedding model is loaded on first use.

        Collections that the settings do not name stay as they are, out of sight. `is_model_busy` is True while the
        language model generates. `on_indexed` is called with the collections' states, now and after each reindex. The
        library closes `reranking`. Raises DatabaseTooNew, DatabaseDamaged, DatabaseUnusable.
        """
        store = await KnowledgeStore.open(data_folder)
        index_thread = WorkerThread("index")
        try:
            ids = await store.writer.add_collections(settings.collections)
            vector_search = VectorSearch(store.vectors, index_thread, data_folder, embedder.dimension)
            bulk_embedding = BulkEmbedding(embedder, store.vectors, is_model_busy)
            context = ReindexContext(
                settings, store, vector_search, embedder, reader, index_thread, WordStemmer(), bulk_embedding
            )
            library = cls(store, vector_search, context, ids, on_indexed=on_indexed, reranking=reranking)
            await library._check_embedder()
            on_indexed(await library.collection_states())
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
        self,
        question: str,
        collections: Collection[str],
        *,
        limit: int = 6,
        context: str = "",
        explain: bool = False,
    ) -> SearchResult:
        """The passages of the named collections that are relevant to a question, best first, at most `limit`.

        `context`: the previous question; passages relevant to it rank a little higher. Without a working embedding
        model only full-text search is used, and without a working reranker the fused order stands. With `explain` the
        hits tell the parts of their scores. Raises UnknownCollection, DatabaseDamaged, DatabaseUnusable.
        """
        began = time.monotonic()
        keys = [self._id(name) for name in sorted(set(collections))]
        if not keys or not question.strip():
            return SearchResult((), False, time.monotonic() - began)
        ranking = await self._searcher.rank_passages(question, context, keys)
        order = await self._rerank(" ".join(filter(str.strip, (context, question))), ranking.ranked)
        hits = await self._hits(order.ranked[: limit + _SPARE_HITS], limit)
        if explain:
            parts = await self._explainer.explain_hits(ranking, [hit.passage.id for hit in hits], order.scores)
            hits = tuple(replace(hit, explanation=parts[hit.passage.id]) for hit in hits)
        timings = {**ranking.timings, **({"reranking": order.took_s} if order.scores else {})}
        return SearchResult(hits, fusion.is_supported(ranking.ranked), time.monotonic() - began, timings)

    async def get_passage(self, passage_id: int) -> Passage | None:
        """A passage by its id; None when it no longer exists."""
        return (await self._store.reader.get_passages([passage_id])).get(passage_id)

    async def collection_states(self) -> tuple[CollectionState, ...]:
        """Counts of each collection, ordered by name."""
        counts = await self._store.reader.collection_counts()
        return tuple(self._state(each, self._ids[each.name]) for each in counts if each.name in self._ids)

    async def unconfigured_collections(self) -> tuple[WithheldRemoval, ...]:
        """Collections that the settings do not name, ordered by name: kept, but not searched."""
        return await withheld_collections(self._store, self.collections)

    async def reindex(
        self,
        collections: Collection[str] | None = None,
        on_progress: Callable[[ReindexProgress], None] | None = None,
        *,
        confirm_removals: bool = False,
        gives_way: bool = False,
    ) -> ReindexReport:
        """Bring the named collections (default: all) up to date with their folders; only changes are read and embedded.

        Removals that look like an accident are withheld and reported, unless `confirm_removals`: of more than half of
        a collection, of what was on a disk or share that is not mounted, and, if all collections are updated, of
        collections that the settings do not name.

        `on_progress` is called on the event loop, about ten times a second at most. A reindex that `gives_way` is
        stopped by the next request, and then raises ReindexRunning. Raises ReindexRunning, UnknownCollection,
        EmbeddingFailed, LibraryClosed, DatabaseDamaged, DatabaseUnusable; changes stored until then stay, and the next
        reindex continues from them.
        """
        names = sorted(self._ids if collections is None else set(collections))
        chosen = {name: self._id(name) for name in names}
        await self._stop_running(gives_way=gives_way)
        request = ReindexRequest(chosen, is_complete=collections is None, confirm_removals=confirm_removals)
        running = asyncio.create_task(self._reindex(request, ThrottledProgress(on_progress)))
        self._running, self._running_gives_way = running, gives_way
        try:
            report = await running
        except asyncio.CancelledError:
            if self._closing:
                raise LibraryClosed from None
            task = asyncio.current_task()
            if running is self._superseded and task is not None and not task.cancelling():
                raise ReindexRunning from None
            raise
        finally:
            if self._running is running:
                self._running = None
        self._on_indexed(await self.collection_states())
        return report

    async def file_states(self, collection: str) -> AsyncIterator[list[FileState]]:
        """The files of a collection in pages, by path. Raises UnknownCollection."""
        key, after = self._id(collection), ""
        while page := await self._store.reader.file_states(key, after, _FILES_PAGE):
            yield page
            after = page[-1].path

    async def left_out(self, collection: str) -> list[LeftOut]:
        """The files and folders that the last reindex left out of a collection. Raises UnknownCollection."""
        return await self._store.reader.left_out(self._id(collection))

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
        if self._reranking is not None:
            await self._reranking.close()
        await self._reindex_context.bulk_embedding.close()
        await self._reindex_context.index_thread.close()
        await self._store.close()

    async def _stop_running(self, *, gives_way: bool) -> None:
        """End a reindex that gives way. Raises ReindexRunning for another one, and when this one gives way too."""
        while (running := self._running) is not None:
            if gives_way or not self._running_gives_way:
                raise ReindexRunning
            self._superseded = running
            running.cancel()
            await asyncio.wait([running])
            if self._running is running:
                self._running = None

    def _id(self, name: str) -> int:
        if name not in self._ids:
            raise UnknownCollection(name, tuple(sorted(self._ids)))
        return self._ids[name]

    async def _check_embedder(self) -> None:
        keys = self._ids.values()
        try:
            fingerprint = await self._searcher.embedder_fingerprint()
        except EmbeddingFailed as error:
            log.error("Searching by words only until the embedding model works: %s", error)
            await self._vector_search.open(keys, usable=())
            return
        known = await self._store.vectors.fingerprints()
        for key in keys:
            if not known[key]:
                await self._store.vectors.reset_vectors(key, fingerprint)
        self._embedder_changed = {key for key in keys if known[key] not in ("", fingerprint)}
        if self._embedder_changed:
            names = ", ".join(sorted(name for name, key in self._ids.items() if key in self._embedder_changed))
            log.warning("Searching by words only until the next reindex, the embedding model has changed: %s", names)
        self._searcher.with_vectors = set(keys) - self._embedder_changed
        await self._vector_search.open(keys, usable=self._searcher.with_vectors)
        self._index_update = asyncio.create_task(self._update_indexes())

    async def _update_indexes(self) -> None:
        """Complete every vector index; until then an exact scan answers in its place."""
        try:
            for key in sorted(self._searcher.with_vectors):
                await self._vector_search.update_index(key)
                await self._vector_search.save_index(key)
        except (OSError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("Could not complete a vector index: %s", error)

    async def _reindex(self, request: ReindexRequest, progress: ThrottledProgress) -> ReindexReport:
        fingerprint = await self._searcher.embedder_fingerprint()
        known = await self._store.vectors.fingerprints()
        for key in request.collections.values():
            if known[key] != fingerprint:
                await self._store.vectors.reset_vectors(key, fingerprint)
                self._vector_search.drop_index(key)
            self._searcher.with_vectors.add(key)
            self._embedder_changed.discard(key)
        return await Reindex(self._reindex_context, request, progress).run()

    def _state(self, counts: CollectionState, key: int) -> CollectionState:
        ready = key in self._searcher.with_vectors and self._vector_search.is_index_ready(key)
        return replace(counts, index_ready=ready, embedder_changed=key in self._embedder_changed)

    async def _rerank(self, question: str, ranked: Sequence[RankedPassage]) -> RerankedOrder:
        """The candidates in the reranker's order; in the fused order where there is none."""
        if self._reranking is None:
            return RerankedOrder(tuple(ranked), {})
        head = [item.passage_id for item in ranked[: self._reranking.candidates]]
        passages = await self._store.reader.get_passages(head)
        kept = [item for item in ranked if item.passage_id in passages or item.passage_id not in head]
        chosen = [passages[key] for key in head if key in passages]
        texts = [text_to_embed(each.title, each.place.heading, each.text) for each in chosen]
        return await self._reranking.reorder(question, kept, texts)

    async def _hits(self, ranked: Sequence[RankedPassage], limit: int) -> tuple[Hit, ...]:
        items = {item.passage_id: item for item in ranked}
        passages = await self._store.reader.get_passages(items.keys())
        distinct = distinct_first([passages[key] for key in items if key in passages], limit)
        found = ((passage, items[passage.id]) for passage in distinct)
        return tuple(Hit(passage, item.score, item.ranks) for passage, item in found)

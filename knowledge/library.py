"""The face of the knowledge room: opens the collections, searches them, and brings them up to date."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from knowledge import fusion
from knowledge.embedding import Embedder, EmbeddingFailed, FloatArray
from knowledge.fusion import Evidence, Ranked
from knowledge.indexing import Reindex, Teller, Workshop
from knowledge.ledger import Ledger
from knowledge.lexical import Lexicon, leans_on_context
from knowledge.neighbours import Nearest, Neighbours
from knowledge.passages import CollectionState, Hit, Passage, ReindexProgress, ReindexReport, SearchResult
from knowledge.reader import Reader
from knowledge.settings import CollectionSettings, KnowledgeSettings
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable
from knowledge.store import Store
from knowledge.vectors import unpack
from knowledge.worker import Worker

log = logging.getLogger(__name__)

_CANDIDATES = 50
"""How deep each ranker is asked; what both leave out cannot be found."""


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

    def __init__(self, store: Store, neighbours: Neighbours, workshop: Workshop, ids: Mapping[str, int]) -> None:
        self._store = store
        self._neighbours = neighbours
        self._workshop = workshop
        self._ids = ids
        self._lexicon = Lexicon()
        self._questions = Worker("query-embed")
        self._vectors_fit = False
        self._running: asyncio.Task[ReindexReport] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._closing = False

    @classmethod
    async def open(
        cls,
        settings: KnowledgeSettings,
        embedder: Embedder,
        reader: Reader,
        data_folder: Path,
        *,
        busy: Callable[[], bool] = lambda: False,
    ) -> "Library":
        """Open the database and the vector indexes below `data_folder`; the embedding model is loaded by the first use.

        What is stored of collections that the settings do not have any more is deleted. `busy` is True while the
        language model is generating. Raises DatabaseTooNew, DatabaseDamaged, DatabaseUnusable.
        """
        store = await Store.open(data_folder)
        index = Worker("index")
        try:
            ids = await store.keep_collections(settings.collections)
            neighbours = Neighbours(store, index, data_folder, embedder.dimension)
            shop = Workshop(settings, Ledger(store), neighbours, embedder, reader, index, Lexicon(), busy)
            library = cls(store, neighbours, shop, ids)
            await library._start()
        except BaseException:
            await index.close()
            await store.close()
            raise
        return library

    @property
    def collections(self) -> Mapping[str, CollectionSettings]:
        """The collections of the settings, by name."""
        return self._workshop.settings.collections

    async def search(
        self, question: str, collections: Collection[str], *, limit: int = 6, context: str = ""
    ) -> SearchResult:
        """The passages of the collections named that bear on a question, best first, at most `limit`.

        `context`: what was asked before, used when the question says little by itself. Without a working embedding
        model words alone decide. Raises UnknownCollection, DatabaseDamaged, DatabaseUnusable.
        """
        began = time.monotonic()
        keys = [self._id(name) for name in sorted(set(collections))]
        text = f"{context}\n{question}" if context and leans_on_context(question) else question
        if not keys or not text.strip():
            return SearchResult((), False, time.monotonic() - began)
        evidence = await self._evidence(text, keys)
        ranked = fusion.rank(evidence)
        hits = await self._hits(ranked[:limit])
        return SearchResult(hits, fusion.supports(ranked), time.monotonic() - began)

    async def passage(self, passage_id: int) -> Passage | None:
        """A passage by its id; None when it is gone."""
        return (await self._store.passages([passage_id])).get(passage_id)

    async def state(self) -> tuple[CollectionState, ...]:
        """What is indexed of each collection, by name."""
        ready = {name: self._vectors_fit and self._neighbours.ready(key) for name, key in self._ids.items()}
        return await self._store.states(ready)

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
        self._running = asyncio.create_task(self._reindex(chosen, Teller(on_progress)))
        try:
            return await self._running
        except asyncio.CancelledError:
            if self._closing:
                raise LibraryClosed from None
            raise
        finally:
            self._running = None

    async def close(self) -> None:
        """Stop a running reindex, save the vector indexes, end the threads."""
        self._closing = True
        for task in (self._running, self._warming):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self._questions.close()
        await self._workshop.index.close()
        await self._store.close()

    def _id(self, name: str) -> int:
        if name not in self._ids:
            raise UnknownCollection(name, tuple(sorted(self._ids)))
        return self._ids[name]

    async def _start(self) -> None:
        await self._neighbours.open(self._ids.values())
        ledger, embedder = self._workshop.ledger, self._workshop.embedder
        try:
            fingerprint = await self._questions.run(lambda: embedder.fingerprint)
        except EmbeddingFailed as error:
            log.error("%s Until that is mended, documents are found by their words only.", error)
            return
        known = await ledger.fingerprint()
        if not known:
            await ledger.start_over(fingerprint)
        elif known != fingerprint:
            log.warning("The embedding model has changed: until the next reindex documents are found by words only.")
            return
        self._vectors_fit = True
        self._warming = asyncio.create_task(self._warm())

    async def _warm(self) -> None:
        """Make every vector index complete; until one is, an exact scan answers in its place."""
        try:
            for key in self._ids.values():
                await self._neighbours.catch_up(key)
                await self._neighbours.save(key)
        except (OSError, DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("A vector index could not be made complete: %s", error)

    async def _reindex(self, chosen: Mapping[str, int], teller: Teller) -> ReindexReport:
        shop = self._workshop
        fingerprint = await self._questions.run(lambda: shop.embedder.fingerprint)
        if await shop.ledger.fingerprint() != fingerprint:
            await shop.ledger.start_over(fingerprint)
            self._neighbours.reset()
        self._vectors_fit = True
        return await Reindex(shop, chosen, teller).run()

    async def _hits(self, ranked: Sequence[Ranked]) -> tuple[Hit, ...]:
        passages = await self._store.passages([item.passage_id for item in ranked])
        found = (item for item in ranked if item.passage_id in passages)
        return tuple(Hit(passages[item.passage_id], item.score, item.ranks) for item in found)

    async def _evidence(self, text: str, keys: Collection[int]) -> Evidence:
        terms = self._lexicon.terms(text, await self._store.languages())
        async with asyncio.TaskGroup() as group:
            nearness = group.create_task(self._nearest(text, keys))
            wording = group.create_task(self._store.matching(terms, keys, _CANDIDATES))
            rarity = group.create_task(self._store.frequencies(terms))
        nearest, bm25 = nearness.result(), wording.result()
        vector = nearest[0] if nearest else None
        found = nearest[1] if nearest else Nearest({}, 0.0)
        # While a reindex runs an index still knows passages that are gone.
        near = {key: found.cosines[key] for key in await self._store.existing(found.cosines.keys())}
        bm25 |= await self._store.bm25(terms, near.keys() - bm25.keys())
        cosines = near | await self._cosines(vector, bm25.keys() - near.keys())
        ideal = fusion.ideal_bm25(rarity.result(), await self._store.count())
        return Evidence(bm25, ideal, cosines, found.background)

    async def _nearest(self, text: str, keys: Collection[int]) -> tuple[FloatArray, Nearest] | None:
        if not self._vectors_fit:
            return None
        try:
            vector = await self._questions.run(lambda: self._workshop.embedder.embed_question(text))
        except EmbeddingFailed as error:
            log.error("%s This question is answered by words only.", error)
            return None
        return vector, await self._neighbours.search(vector, keys, _CANDIDATES)

    async def _cosines(self, vector: FloatArray | None, ids: Collection[int]) -> dict[int, float]:
        if vector is None or not ids:
            return {}
        stored = await self._store.vectors(ids)
        cosines = unpack(list(stored.values()), vector.shape[0]).astype(np.float32) @ vector
        return dict(zip(stored, cosines.tolist(), strict=True))

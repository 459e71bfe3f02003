"""Bulk embedding: gives the passages of collections their vectors, on all cores while nobody waits for an answer."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from knowledge.embedding import Embedder
from knowledge.onnx_models import usable_cores
from knowledge.store.vector_store import UnembeddedPassage, VectorRow, VectorStore
from knowledge.vectors import pack_vectors
from knowledge.worker_thread import SLICE_S, WorkerThread

_PAGE = 64
"""Passages of a page for each thread; a crash loses at most one page, a few seconds of embedding."""
_BATCH = 8
_MAX_THREADS = 8
"""More would need more memory than the gain is worth: each holds the activations of a batch."""
_MAX_MODEL_WAIT_S = 1.0
"""How long a batch waits for the language model to pause; bounded, so that indexing advances under load."""
_MODEL_POLL_S = 0.02
_NICENESS = 5
"""Of the threads, so that a question's embedding and the language model get most of a core that they compete for."""


class BulkEmbedding:
    """Embeds passages in pages. While `is_busy` only one thread works, and waits for a pause before each batch.

    The threads start with the first page.
    """

    def __init__(
        self, embedder: Embedder, vectors: VectorStore, is_busy: Callable[[], bool], threads: int | None = None
    ) -> None:
        self._embedder = embedder
        self._vectors = vectors
        self._is_busy = is_busy
        self._count = threads or min(usable_cores(), _MAX_THREADS)
        self._threads: list[WorkerThread] = []

    async def embed_collection(self, collection: int) -> AsyncIterator[int]:
        """Embed the passages of a collection that have no vector, and store the vectors page by page.

        Yields the number of passages that each page gave a vector: passages with the same text are embedded once.
        Raises EmbeddingFailed, DatabaseDamaged, DatabaseUnusable.
        """
        if not self._threads:
            self._threads = [WorkerThread(f"bulk-embed-{n}", niceness=_NICENESS) for n in range(self._count)]
        after = 0
        while page := await self._vectors.unembedded_passages(collection, after, _PAGE * self._count):
            distinct = list({passage.text: passage for passage in reversed(page)}.values())
            yield await self._vectors.add_vectors(collection, await self._embed_page(distinct))
            after = page[-1].id

    async def close(self) -> None:
        """End the threads, each after the batch that it is computing."""
        await asyncio.gather(*(thread.close() for thread in self._threads))

    async def _embed_page(self, page: Sequence[UnembeddedPassage]) -> list[VectorRow]:
        # Batches of similar length: a batch costs its longest text times the number of texts.
        waiting = deque(sorted(page, key=lambda passage: len(passage.text)))
        made: list[VectorRow] = []
        workers = [
            asyncio.create_task(self._work(thread, waiting, made, is_first=number == 0))
            for number, thread in enumerate(self._threads[: len(page)])
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)
        return made

    async def _work(
        self, thread: WorkerThread, waiting: "deque[UnembeddedPassage]", made: list[VectorRow], *, is_first: bool
    ) -> None:
        size = 1
        while waiting:
            await self._wait_until_idle(_MAX_MODEL_WAIT_S if is_first else None, waiting)
            batch = [waiting.popleft() for _ in range(min(size, len(waiting)))]
            if not batch:
                return
            began = time.monotonic()
            texts = [passage.text for passage in batch]
            vectors = await thread.run(partial(self._embedder.embed_passages, texts))
            made += zip((passage.id for passage in batch), pack_vectors(vectors), strict=True)
            size = _next_size(len(batch), time.monotonic() - began)

    async def _wait_until_idle(self, limit_s: float | None, waiting: "deque[UnembeddedPassage]") -> None:
        """Wait while the machine is busy and passages are waiting, `limit_s` at most."""
        began = time.monotonic()
        while waiting and self._is_busy() and (limit_s is None or time.monotonic() < began + limit_s):  # noqa: ASYNC110 - polls a counter; there is no event to await
            await asyncio.sleep(_MODEL_POLL_S)


def _next_size(size: int, took_s: float) -> int:
    """The largest batch expected to fit one slice, judging by the last one."""
    return max(1, min(_BATCH, int(size * SLICE_S / max(took_s, 1e-4))))

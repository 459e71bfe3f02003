"""Bulk embedding: equal texts once, several threads, and what happens when one of them fails."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge.bulk_embedding import BulkEmbedding
from knowledge.embedding import EmbeddingFailed, FloatArray
from knowledge.store.vector_store import UnembeddedPassage
from tests.fakes.embedders import CountingEmbedder
from tests.fakes.shelf import LibraryFixture


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[LibraryFixture]:
    async with AsyncExitStack() as stack:
        yield LibraryFixture(tmp_path, stack, embedder=CountingEmbedder())


class MeetingEmbedder(CountingEmbedder):
    """Embeds only once two threads are embedding at the same time."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2)
        super().__init__(before=self.meet)
        self.threads: set[str] = set()

    def meet(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.barrier.wait(timeout=30)


class FailingEmbedder(CountingEmbedder):
    """Fails for one text."""

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        if "bad" in texts:
            raise EmbeddingFailed("It fails for this text.")
        return super().embed_passages(texts)


class OtherEmbedder(CountingEmbedder):
    """Makes vectors of the same length that are not comparable with the others'."""

    @property
    def fingerprint(self) -> str:
        return "other"


class Store:
    """The part of the vector store that bulk embedding uses, in memory."""

    def __init__(self, *texts: str) -> None:
        self.waiting = dict(enumerate(texts, start=1))
        self.written: list[int] = []

    async def unembedded_passages(self, collection: int, after: int, limit: int) -> list[UnembeddedPassage]:
        rows = sorted(item for item in self.waiting.items() if item[0] > after)
        return [UnembeddedPassage(key, text) for key, text in rows[:limit]]

    async def add_vectors(self, collection: int, vectors: Sequence[tuple[int, bytes]]) -> int:
        self.written += [key for key, _ in vectors]
        return len(vectors)


async def embed(store: Store, embedder: CountingEmbedder, *, threads: int, busy: bool = False) -> list[int]:
    bulk = BulkEmbedding(embedder, store, lambda: busy, threads)  # type: ignore[arg-type]
    try:
        return [added async for added in bulk.embed_collection(1)]
    finally:
        await bulk.close()


async def test_two_threads_embed_at_the_same_time_while_nobody_waits() -> None:
    embedder = MeetingEmbedder()
    store = Store("one", "two")
    assert await embed(store, embedder, threads=2) == [2]
    assert len(embedder.threads) == 2
    assert sorted(store.written) == [1, 2]


async def test_while_somebody_waits_a_single_thread_embeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knowledge.bulk_embedding._MAX_MODEL_WAIT_S", 0.0)
    names: set[str] = set()
    embedder = CountingEmbedder(before=lambda: names.add(threading.current_thread().name))
    store = Store(*(f"text {number}" for number in range(30)))
    await embed(store, embedder, threads=3, busy=True)
    assert names == {"bulk-embed-0"}
    assert len(store.written) == 30


async def test_a_failure_in_one_thread_ends_the_others_and_is_told() -> None:
    store = Store("bad", *(f"text {number}" for number in range(100)))
    with pytest.raises(EmbeddingFailed, match="for this text"):
        await embed(store, FailingEmbedder(), threads=3)
    assert store.written == []


async def test_equal_texts_are_embedded_once(shelf: LibraryFixture) -> None:
    for name in ("a", "b"):
        shelf.write_document(f"{name}/note.txt", "Everything about alpacas.")
    shelf.write_document("c/note.txt", "Everything about badgers.")
    shelf.write_document("note.txt", "Everything about alpacas.", collection="other")
    library = await shelf.open("home", "other")
    await library.reindex()
    assert isinstance(shelf.embedder, CountingEmbedder)
    assert sorted(shelf.embedder.embedded) == ["note\nEverything about alpacas.", "note\nEverything about badgers."]
    hits = (await library.search("alpacas", ["home", "other"], limit=10)).hits
    assert all("vector" in hit.ranks for hit in hits)
    assert len({hit.score for hit in hits if "alpacas" in hit.passage.text}) == 1


async def test_another_embedder_embeds_equal_texts_once_too(shelf: LibraryFixture) -> None:
    shelf.write_document("note.txt", "Everything about alpacas.")
    shelf.write_document("note.txt", "Everything about alpacas.", collection="other")
    library = await shelf.open("home", "other")
    await library.reindex()
    await library.close()
    shelf.embedder = other = OtherEmbedder()
    library = await shelf.open("home", "other")
    for name in ("home", "other"):
        await library.reindex([name])
        assert other.embedded == ["note\nEverything about alpacas."]
    assert all(state.index_ready for state in await library.collection_states())
    hits = (await library.search("alpacas", ["home", "other"])).hits
    assert ["vector" in hit.ranks for hit in hits] == [True, True]

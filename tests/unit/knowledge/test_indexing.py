import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge import bulk_embedding, indexing
from knowledge.embedding import EmbeddingFailed
from knowledge.library import Library, LibraryClosed, ReindexRunning
from knowledge.passages import FailedDocument, ReindexProgress, ReindexReport
from knowledge.reading.settings import ReadingSettings
from tests.fakes.embedders import BrokenEmbedder, CountingEmbedder
from tests.fakes.shelf import LibraryFixture


class Gate:
    """Holds the thread that embeds until the test lets it pass."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._passes = threading.Semaphore(0)
        self._open = False

    def __call__(self) -> None:
        self._reached.set()
        if not self._open:
            assert self._passes.acquire(timeout=30)

    async def reached(self) -> None:
        """Returns when the thread stands at the gate."""
        while not self._reached.is_set():
            await asyncio.sleep(0.005)

    def let_one_pass(self) -> None:
        self._passes.release()

    def open(self) -> None:
        self._open = True
        self._passes.release()


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[LibraryFixture]:
    async with AsyncExitStack() as stack:
        yield LibraryFixture(tmp_path, stack, embedder=CountingEmbedder())


@pytest.fixture
def embedder(shelf: LibraryFixture) -> CountingEmbedder:
    assert isinstance(shelf.embedder, CountingEmbedder)
    return shelf.embedder


def counts(report: ReindexReport) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.removed, report.unchanged


async def found(library: Library, question: str) -> list[str]:
    result = await library.search(question, ["home"], limit=50)
    return [hit.passage.text for hit in result.hits if "bm25" in hit.ranks]


async def test_only_what_changed_is_read_and_embedded(shelf: LibraryFixture, embedder: CountingEmbedder) -> None:
    for name in ("a", "b", "c", "d"):
        shelf.write_document(f"{name}.txt", f"This is {name}.\n\nIts second paragraph says {name}{name}.")
    library = await shelf.open()
    assert counts(await library.reindex()) == (4, 0, 0, 0)
    shelf.reader.read_files.clear()
    embedder.embedded.clear()
    assert counts(await library.reindex()) == (0, 0, 0, 4)
    assert (shelf.reader.read_files, embedder.embedded) == ([], [])

    shelf.write_document("b.txt", "This is b.\n\nIts second paragraph is new.")
    (shelf.folder / "home" / "c.txt").unlink()
    shelf.write_document("e.txt", "This is e.")
    assert counts(await library.reindex()) == (1, 1, 1, 2)
    assert shelf.reader.read_files == ["b.txt", "e.txt"]
    assert sorted(embedder.embedded) == ["b\nIts second paragraph is new.", "e\nThis is e."]
    assert await found(library, "cc bb new") == ["Its second paragraph is new."]


async def test_a_row_counts_as_a_document_and_only_changed_rows_are_embedded(
    shelf: LibraryFixture, embedder: CountingEmbedder
) -> None:
    shelf.write_document("ports.rows", "jellyfin 8096\ngrafana 3000\npihole 53\n")
    library = await shelf.open()
    assert counts(await library.reindex()) == (3, 0, 0, 0)
    jellyfin = (await library.search("jellyfin", ["home"])).hits[0].passage
    embedder.embedded.clear()
    shelf.write_document("ports.rows", "jellyfin 8096\ngrafana 3001\n")
    assert counts(await library.reindex()) == (0, 1, 1, 1)
    assert embedder.embedded == ["grafana 3001\ngrafana 3001"]
    assert await library.get_passage(jellyfin.id) == jellyfin


async def test_a_renamed_file_is_not_embedded_again(shelf: LibraryFixture, embedder: CountingEmbedder) -> None:
    shelf.write_document("old/list.txt", "A long text that took long to embed.")
    library = await shelf.open()
    await library.reindex()
    embedder.embedded.clear()
    (shelf.folder / "home" / "old").rename(shelf.folder / "home" / "new")
    assert counts(await library.reindex()) == (1, 0, 1, 0)
    assert embedder.embedded == []
    (hit,) = (await library.search("long text", ["home"])).hits
    assert (hit.passage.document, hit.ranks) == ("new/list.txt", {"bm25": 1, "vector": 1})


async def test_a_failing_file_stops_nothing_and_keeps_what_was_known_of_it(shelf: LibraryFixture) -> None:
    shelf.write_document("a.txt", "Everything about alpacas.")
    shelf.write_document("b.txt", "Everything about badgers.")
    library = await shelf.open()
    await library.reindex()
    shelf.write_document("a.txt", "unreadable")
    shelf.write_document("c.txt", "unreadable too")
    shelf.write_document("d.txt", "Everything about dormice.")
    report = await library.reindex()
    assert counts(report) == (1, 0, 0, 1)
    why = "It says itself that it is unreadable."
    assert report.failed == (FailedDocument("home", "a.txt", why), FailedDocument("home", "c.txt", why))
    assert await found(library, "alpacas") == ["Everything about alpacas."]
    assert (await library.collection_states())[0].failed == 2

    shelf.write_document("a.txt", "Everything about antelopes.")
    shelf.write_document("c.txt", "Everything about capybaras.")
    report = await library.reindex()
    assert (counts(report), report.failed) == ((1, 1, 0, 2), ())
    assert await found(library, "alpacas") == []
    assert (await library.collection_states())[0].failed == 0


async def test_a_folder_that_is_away_fails_and_loses_nothing(shelf: LibraryFixture) -> None:
    shelf.write_document("a.txt", "Everything about alpacas.")
    shelf.write_document("b.txt", "Everything about badgers.", collection="other")
    library = await shelf.open("home", "other")
    await library.reindex()
    (shelf.folder / "home").rename(shelf.folder / "unplugged")
    report = await library.reindex()
    assert counts(report) == (0, 0, 0, 1)
    assert [(failure.collection, failure.document) for failure in report.failed] == [("home", "")]
    assert "does not exist" in report.failed[0].reason
    assert await found(library, "alpacas") == ["Everything about alpacas."]


async def test_one_collection_can_be_brought_up_to_date_alone(shelf: LibraryFixture) -> None:
    shelf.write_document("a.txt", "Everything about alpacas.")
    shelf.write_document("b.txt", "Everything about badgers.", collection="other")
    library = await shelf.open("home", "other")
    assert counts(await library.reindex(["other"])) == (1, 0, 0, 0)
    assert shelf.reader.read_files == ["b.txt"]


async def test_another_embedder_embeds_everything_again_and_reads_nothing(shelf: LibraryFixture) -> None:
    shelf.write_document("a.txt", "Everything about alpacas.\n\nAnd more.")
    library = await shelf.open()
    await library.reindex()
    await library.close()
    shelf.reader.read_files.clear()
    shelf.embedder = other = CountingEmbedder(dimension=32)
    library = await shelf.open()
    assert (await library.search("alpacas", ["home"])).hits[0].ranks == {"bm25": 1}
    assert not (await library.collection_states())[0].index_ready
    assert counts(await library.reindex()) == (0, 0, 0, 1)
    assert (len(other.embedded), shelf.reader.read_files) == (2, [])
    assert (await library.search("alpacas", ["home"])).hits[0].ranks == {"bm25": 1, "vector": 1}


async def test_a_broken_model_leaves_the_documents_to_be_found_by_words(shelf: LibraryFixture) -> None:
    shelf.write_document("a.txt", "Everything about alpacas.")
    shelf.embedder = BrokenEmbedder("a fingerprint")
    library = await shelf.open()
    with pytest.raises(EmbeddingFailed, match="file is missing"):
        await library.reindex()
    assert await found(library, "alpacas") == ["Everything about alpacas."]


async def test_a_second_reindex_at_the_same_time_is_refused(shelf: LibraryFixture, embedder: CountingEmbedder) -> None:
    gate = embedder.before = Gate()
    shelf.write_document("a.txt", "Everything about alpacas.")
    library = await shelf.open()
    first = asyncio.create_task(library.reindex())
    await gate.reached()
    with pytest.raises(ReindexRunning):
        await library.reindex()
    gate.open()
    assert counts(await first) == (1, 0, 0, 0)
    assert counts(await library.reindex()) == (0, 0, 0, 1)


async def test_a_question_is_answered_while_documents_are_embedded(
    shelf: LibraryFixture, embedder: CountingEmbedder
) -> None:
    shelf.write_document("a.txt", "Everything about alpacas.")
    library = await shelf.open()
    await library.reindex()
    gate = embedder.before = Gate()
    for number in range(20):
        shelf.write_document(f"{number}.txt", f"Number {number} about badgers.")
    running = asyncio.create_task(library.reindex())
    await gate.reached()
    asking = asyncio.create_task(found(library, "alpacas"))
    await asyncio.sleep(0.05)
    gate.let_one_pass()
    assert await asking == ["Everything about alpacas."]
    assert not running.done()
    gate.open()
    await running


async def test_a_cancelled_reindex_goes_on_next_time_where_it_stopped(
    shelf: LibraryFixture, embedder: CountingEmbedder
) -> None:
    gate = embedder.before = Gate()
    for number in range(5):
        shelf.write_document(f"{number}.txt", f"Number {number}.")
    library = await shelf.open()
    task = asyncio.create_task(library.reindex())
    await gate.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open()
    shelf.reader.read_files.clear()
    assert counts(await library.reindex()) == (0, 0, 0, 5)
    assert shelf.reader.read_files == []
    assert {f"{n}\nNumber {n}." for n in range(5)} <= set(embedder.embedded)
    assert (await library.search("Number 3", ["home"])).hits[0].ranks.keys() == {"bm25", "vector"}


async def test_closing_ends_a_reindex_with_a_sentence(shelf: LibraryFixture, embedder: CountingEmbedder) -> None:
    gate = embedder.before = Gate()
    shelf.write_document("a.txt", "Everything about alpacas.")
    library = await shelf.open()
    task = asyncio.create_task(library.reindex())
    await gate.reached()
    closing = asyncio.create_task(library.close())
    await asyncio.sleep(0.01)
    gate.open()
    await closing
    with pytest.raises(LibraryClosed, match="the next one goes on"):
        await task


async def test_progress_tells_the_phases_in_order(shelf: LibraryFixture) -> None:
    for number in range(30):
        shelf.write_document(f"{number}.txt", f"Number {number}.")
    told: list[ReindexProgress] = []
    library = await shelf.open()
    await library.reindex(on_progress=told.append)
    assert list(dict.fromkeys(progress.phase for progress in told)) == ["scanning", "reading", "embedding", "saving"]
    assert all(progress.done <= progress.total for progress in told)
    assert {progress.total for progress in told if progress.phase == "reading"} == {30}


async def test_progress_is_told_ten_times_a_second_at_most(shelf: LibraryFixture) -> None:
    for number in range(300):
        shelf.write_document(f"{number}.txt", f"Number {number}.")
    told: list[ReindexProgress] = []
    library = await shelf.open()
    report = await library.reindex(on_progress=told.append)
    assert len(told) <= 4 + report.took_s * 10


async def test_bulk_embedding_waits_while_the_language_model_is_busy(
    shelf: LibraryFixture, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_embedding, "_MAX_MODEL_WAIT_S", 60.0)  # the test waits for looks, not for time
    looks: list[int] = []

    def busy() -> bool:
        looks.append(len(embedder.embedded))
        return len(looks) < 5

    shelf.write_document("a.txt", "Everything about alpacas.")
    library = await shelf.open(is_model_busy=busy)
    await library.reindex()
    assert looks == [0] * 5
    assert len(embedder.embedded) == 1


async def test_a_model_that_is_always_busy_does_not_starve_the_documents(shelf: LibraryFixture) -> None:
    shelf.write_document("a.txt", "Everything about alpacas.")
    library = await shelf.open(is_model_busy=lambda: True)
    assert counts(await library.reindex()) == (1, 0, 0, 0)


@pytest.mark.parametrize("stuck", ["scan_steps", "examine_files"])
async def test_a_disk_that_stops_answering_costs_its_collection_alone(
    shelf: LibraryFixture, monkeypatch: pytest.MonkeyPatch, stuck: str
) -> None:
    shelf.write_document("a.txt", "Everything about alpacas.")
    shelf.write_document("b.txt", "Everything about badgers.", collection="other")
    library = await shelf.open("home", "other", reading=ReadingSettings(time_limit_s=0.2))
    await library.reindex()
    gate = threading.Event()
    wait_for_disk(monkeypatch, stuck, shelf.folder / "home", gate)
    shelf.write_document("b.txt", "Everything about beavers.", collection="other")
    report = await library.reindex()
    assert counts(report) == (0, 1, 0, 0)
    (failure,) = report.failed
    assert (failure.collection, failure.document) == ("home", "")
    assert "has not answered for 0.2 s" in failure.reason
    assert await found(library, "alpacas") == ["Everything about alpacas."]
    gate.set()


async def test_closing_does_not_wait_for_a_disk(shelf: LibraryFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_FILES_CLOSE_LIMIT_S", 0.05)
    shelf.write_document("a.txt", "Everything about alpacas.")
    library = await shelf.open()
    gate, reached = threading.Event(), asyncio.Event()
    wait_for_disk(monkeypatch, "examine_files", shelf.folder / "home", gate, reached)
    task = asyncio.create_task(library.reindex())
    await reached.wait()
    await library.close()
    with pytest.raises(LibraryClosed):
        await task
    gate.set()


def wait_for_disk(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    folder: Path,
    gate: threading.Event,
    reached: asyncio.Event | None = None,
) -> None:
    """Let a step of indexing wait for the gate as soon as it comes to the folder."""
    real, loop = getattr(indexing, name), asyncio.get_running_loop()

    def slow(first: object, *rest: object) -> Iterator[object]:
        if first == folder or (isinstance(first, tuple) and first[0].folder == folder):
            if reached is not None:
                loop.call_soon_threadsafe(reached.set)
            gate.wait(60)
        yield from real(first, *rest)

    monkeypatch.setattr(indexing, name, slow)

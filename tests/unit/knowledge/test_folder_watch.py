"""Watched folders, with the real watcher of the operating system."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from watchfiles import Change

from knowledge import folder_watch
from knowledge.folder_watch import FolderWatch, Mount, is_on_network
from knowledge.library import Library
from knowledge.settings import CollectionSettings, KnowledgeSettings
from tests.fakes.shelf import LibraryFixture

WAIT_S = 60.0


class WatchedShelf:
    """A library whose folders are watched; it notes the numbers of documents after each reindex."""

    def __init__(self, shelf: LibraryFixture) -> None:
        self.shelf = shelf
        self.indexed = asyncio.Condition()
        self.runs = 0
        self.library: Library | None = None

    def note(self, _: object) -> None:
        self.runs += 1

    @asynccontextmanager
    async def watching(self, rescan_minutes: float = 1000, folder: str = "home") -> AsyncIterator[Library]:
        self.shelf.data.mkdir(exist_ok=True)
        (self.shelf.folder / "home").mkdir(exist_ok=True)
        chosen = {"home": CollectionSettings(folder=self.shelf.folder / folder, include=("*.txt",))}
        settings = KnowledgeSettings(collections=chosen, watch=True, rescan_minutes=rescan_minutes)
        library = await Library.open(
            settings, self.shelf.embedder, self.shelf.reader, self.shelf.data, on_indexed=self.note
        )
        self.shelf.stack.push_async_callback(library.close)
        self.runs = 0
        running = asyncio.create_task(FolderWatch(library, settings, self.shelf.data).run())
        try:
            await until(lambda: self.runs or running.done())
            yield library
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@pytest.fixture
async def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WatchedShelf]:
    monkeypatch.setattr(folder_watch, "_SETTLE_MS", 50)
    monkeypatch.setattr(folder_watch, "_PAUSE_FACTOR", 0)
    monkeypatch.setattr(folder_watch, "_IDLE_MS", 100)
    async with AsyncExitStack() as stack:
        yield WatchedShelf(LibraryFixture(tmp_path, stack))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def documents(library: Library) -> set[str]:
    return {file.path async for page in library.file_states("home") for file in page if file.documents}


async def wait_for(library: Library, *expected: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while await documents(library) != set(expected):
            await asyncio.sleep(0.01)


async def test_what_changed_meanwhile_is_indexed_at_the_start_and_then_what_changes(shelf: WatchedShelf) -> None:
    shelf.shelf.write_document("a.txt", "The drive lies on shelf Quince.")
    async with shelf.watching() as library:
        await wait_for(library, "a.txt")
        shelf.shelf.write_document("deep/er/b.txt", "Bins are collected on Tuesday.")
        await wait_for(library, "a.txt", "deep/er/b.txt")
        (shelf.shelf.folder / "home/deep").rename(shelf.shelf.folder / "home/deeper.d")
        await wait_for(library, "a.txt", "deeper.d/er/b.txt")
        (shelf.shelf.folder / "home/a.txt").unlink()
        await wait_for(library, "deeper.d/er/b.txt")


async def test_a_single_file_is_watched_through_a_save_that_replaces_it(shelf: WatchedShelf) -> None:
    path = shelf.shelf.write_document("probe.txt", "one")
    async with shelf.watching(folder="home/probe.txt") as library:
        await wait_for(library, "probe.txt")
        for word in ("zebra", "quagga"):
            new = shelf.shelf.write_document("new.tmp", f"The {word} opens the door.")
            new.replace(path)
            await wait_until_found(library, word)


async def wait_until_found(library: Library, word: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while not any(word in hit.passage.text for hit in (await library.search(word, ["home"])).hits):
            await asyncio.sleep(0.01)


async def test_a_folder_on_the_network_is_read_at_intervals(
    shelf: WatchedShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watch, "list_mounts", lambda: [Mount(tmp_path, "cifs")])
    async with shelf.watching(rescan_minutes=0.001) as library:
        shelf.shelf.write_document("a.txt", "The drive lies on shelf Quince.")
        await wait_for(library, "a.txt")


async def test_a_folder_that_comes_later_is_found_at_an_interval(shelf: WatchedShelf) -> None:
    async with shelf.watching(rescan_minutes=0.001, folder="later") as library:
        (shelf.shelf.folder / "later").mkdir()
        (shelf.shelf.folder / "later/a.txt").write_text("The drive lies on shelf Quince.")
        await wait_for(library, "a.txt")


async def test_an_emptied_folder_is_told_once_in_the_log_and_keeps_its_documents(
    shelf: WatchedShelf, caplog: pytest.LogCaptureFixture
) -> None:
    path = shelf.shelf.write_document("a.txt", "The drive lies on shelf Quince.")
    async with shelf.watching(rescan_minutes=0.001) as library:
        await wait_for(library, "a.txt")
        path.unlink()
        await until(lambda: "Kept 1 documents" in caplog.text)
        runs = shelf.runs
        await until(lambda: shelf.runs > runs + 3 or shelf.runs == runs)
        assert await documents(library) == {"a.txt"}
    assert caplog.text.count("Kept 1 documents") == 1


async def test_a_reindex_on_request_goes_first(shelf: WatchedShelf) -> None:
    shelf.shelf.write_document("a.txt", "The drive lies on shelf Quince.")
    async with shelf.watching(rescan_minutes=0.0001) as library:
        for _ in range(20):
            assert not (await library.reindex()).failed


MOUNTS = [
    Mount(Path("/"), "ext4"),
    Mount(Path("/mnt"), "nfs4"),
    Mount(Path("/mnt/disk"), "ext4"),
    Mount(Path("/home/ada/share"), "fuse.sshfs"),
]


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/home/bob", False),
        ("/mnt", True),
        ("/mnt/documents", True),
        ("/mnt/disk/documents", False),
        ("/mntx", False),
        ("/home/ada", True),
        ("/home/ada/share/manuals", True),
    ],
)
def test_the_nearest_mount_and_those_inside_decide_whether_a_folder_is_on_the_network(
    folder: str, expected: bool
) -> None:
    assert is_on_network(Path(folder), MOUNTS) is expected


@pytest.mark.parametrize(
    ("change", "path", "expected"),
    [
        (Change.added, "a.txt", True),
        (Change.modified, "sub/a.md", False),
        (Change.added, "sub", True),
        (Change.deleted, "gone.d", True),
        (Change.modified, ".git/a.txt", False),
        (Change.deleted, "node_modules/x/a.txt", False),
        (Change.modified, "private/a.txt", False),
        (Change.modified, "data/a.txt", False),
        (Change.added, "", False),
        (Change.deleted, "", True),
    ],
)
def test_only_changes_that_may_concern_documents_count(
    tmp_path: Path, change: Change, path: str, expected: bool
) -> None:
    (tmp_path / "sub").mkdir()
    collection = CollectionSettings(folder=tmp_path, include=("*.txt",), exclude=("private/",))
    junk = folder_watch.JunkRules(KnowledgeSettings().junk)
    counts = folder_watch._ChangeFilter(tmp_path, collection, junk, str(tmp_path / "data"))
    assert counts(change, str(tmp_path / path) if path else str(tmp_path)) is expected

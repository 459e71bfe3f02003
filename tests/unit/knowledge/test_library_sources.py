"""The sources of a library: what it lists of its files, what is left out, and reindexing that gives way."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge.library import Library, ReindexRunning, UnknownCollection
from knowledge.passages import CollectionState, FailedDocument, FileState, LeftOut
from knowledge.settings import CollectionSettings, KnowledgeSettings
from tests.fakes.embedders import CountingEmbedder
from tests.fakes.shelf import LibraryFixture

HALF = "It says that half of it is unread."


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[LibraryFixture]:
    async with AsyncExitStack() as stack:
        shelf = LibraryFixture(tmp_path, stack)
        shelf.write_document("drive.txt", "The drive lies on shelf Quince.\n\nIt is encrypted.")
        shelf.write_document("log.txt", "The boiler was lit; half of this is gone.")
        shelf.write_document("broken.txt", "unreadable")
        yield shelf


async def files(library: Library) -> list[FileState]:
    return [file async for page in library.file_states("home") for file in page]


async def test_the_files_of_the_index_are_listed_with_their_passages_and_faults(shelf: LibraryFixture) -> None:
    before = time.time()
    library = await shelf.open()
    assert await files(library) == []
    await library.reindex()
    broken, drive, log = await files(library)
    assert (drive.path, drive.documents, drive.passages, drive.failure, drive.unread) == ("drive.txt", 1, 2, "", "")
    assert drive.size_bytes == (shelf.folder / "home/drive.txt").stat().st_size
    assert drive.read_at is not None
    assert before <= drive.read_at <= time.time()
    assert (broken.documents, broken.read_at, broken.failure) == (0, None, "It says itself that it is unreadable.")
    assert (log.documents, log.unread) == (1, HALF)
    with pytest.raises(UnknownCollection):
        await files_of(library, "nowhere")


async def files_of(library: Library, collection: str) -> list[FileState]:
    return [file async for page in library.file_states(collection) for file in page]


async def test_a_long_list_of_files_comes_in_pages(shelf: LibraryFixture) -> None:
    for number in range(120):
        shelf.write_document(f"{number:03}.rows", "one\ntwo")
    library = await shelf.open()
    await library.reindex()
    pages = [[file.path for file in page] async for page in library.file_states("home")]
    paths = [path for page in pages for path in page]
    assert (len(pages), len(paths), paths) == (3, 123, sorted(paths))


async def test_a_file_that_was_read_in_part_is_told_by_each_reindex_until_it_is_whole(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    for _ in range(2):
        report = await library.reindex()
        assert report.partly_read == (FailedDocument("home", "log.txt", HALF),)
        assert [failed.document for failed in report.failed] == ["broken.txt"]
    shelf.write_document("log.txt", "The boiler was lit.")
    assert (await library.reindex()).partly_read == ()
    assert [file.unread for file in await files(library)] == ["", "", ""]


async def test_a_file_read_in_part_leaves_the_index_complete(shelf: LibraryFixture) -> None:
    (shelf.folder / "home/broken.txt").unlink()
    assert (await (await shelf.open()).reindex()).is_complete


async def test_what_is_left_out_is_reported_and_kept_until_the_next_reindex(shelf: LibraryFixture) -> None:
    home = shelf.folder / "home"
    (home / "manuals").symlink_to(shelf.folder)
    shelf.write_document(".trash/x.txt", "old")
    states: list[Sequence[CollectionState]] = []
    library = await shelf.open(on_indexed=states.append)
    assert states[-1][0].left_out == {}
    report = await library.reindex()
    expected = [LeftOut("home", "junk", ".*", 1), LeftOut("home", "link", "manuals/", 1)]
    assert sorted(report.left_out, key=lambda each: each.cause) == expected
    assert await library.left_out("home") == expected
    assert (states[-1][0].left_out, states[-1][0].partly_read) == ({"junk": 1, "link": 1}, 1)
    (home / "manuals").unlink()
    await library.reindex()
    assert states[-1][0].left_out == {"junk": 1}


async def test_a_folder_that_cannot_be_listed_is_a_failure_until_it_can(
    shelf: LibraryFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shelf.folder / "home/broken.txt").unlink()
    bad = shelf.folder / "home" / b"caf\xe9.txt".decode("utf-8", "surrogateescape")
    bad.write_text("x")
    library = await shelf.open()
    assert [failed.document for failed in (await library.reindex()).failed] == ["caf?.txt"]
    assert [file.path for file in await files(library) if file.failure] == ["caf?.txt"]
    bad.rename(shelf.folder / "home/cafe.txt")
    assert (await library.reindex()).failed == ()
    assert [file.path for file in await files(library)] == ["cafe.txt", "drive.txt", "log.txt"]


async def test_a_single_file_is_a_collection_and_one_that_is_missing_keeps_its_passages(
    shelf: LibraryFixture, tmp_path: Path
) -> None:
    file = tmp_path / "home/drive.txt"
    settings = KnowledgeSettings(collections={"drive": CollectionSettings(folder=file)})
    shelf.data.mkdir()
    library = await Library.open(settings, shelf.embedder, shelf.reader, shelf.data)
    shelf.stack.push_async_callback(library.close)
    assert (await library.reindex()).added == 1
    file.rename(tmp_path / "away.txt")
    report = await library.reindex()
    assert (report.removed, report.is_complete) == (0, False)
    assert "does not exist" in report.failed[0].reason
    assert (await library.search("shelf Quince", ["drive"])).hits[0].passage.document == "drive.txt"
    (tmp_path / "away.txt").rename(file)
    assert (await library.reindex()).unchanged == 1


async def test_renamed_folders_and_copied_files_keep_their_vectors(shelf: LibraryFixture) -> None:
    assert isinstance(shelf.embedder, CountingEmbedder)
    library = await shelf.open()
    await library.reindex()
    shelf.embedder.embedded.clear()
    home = shelf.folder / "home"
    (home / "manuals").mkdir()
    (home / "drive.txt").rename(home / "manuals/drive.txt")
    shelf.write_document("copies/log.txt", (home / "log.txt").read_text())
    report = await library.reindex()
    assert (report.added, report.removed, report.withheld, shelf.embedder.embedded) == (2, 1, (), [])


async def test_a_reindex_that_gives_way_is_stopped_by_the_next_request(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    automatic = asyncio.create_task(library.reindex(gives_way=True))
    await asyncio.sleep(0)  # it has begun
    with pytest.raises(ReindexRunning):
        await library.reindex(gives_way=True)
    report = await library.reindex()
    with pytest.raises(ReindexRunning):
        await automatic
    assert report.added + report.unchanged == 2
    assert (await library.reindex(gives_way=True)).unchanged == 2


async def test_a_reindex_that_was_asked_for_gives_way_to_no_other(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    asked = asyncio.create_task(library.reindex())
    await asyncio.sleep(0)
    for gives_way in (False, True):
        with pytest.raises(ReindexRunning):
            await library.reindex(gives_way=gives_way)
    assert (await asked).added == 2

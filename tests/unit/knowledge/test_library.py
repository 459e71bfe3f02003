import os
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge import folder_scan
from knowledge.library import Library, UnknownCollection
from knowledge.passages import SearchResult, WithheldRemoval
from knowledge.reranking.order import Reranking
from knowledge.reranking.reranker import Reranker
from knowledge.reranking.settings import RerankingSettings
from knowledge.settings import CollectionSettings, KnowledgeSettings
from tests.fakes.embedders import BrokenEmbedder, CountingEmbedder
from tests.fakes.rerankers import BrokenReranker, ReversingReranker, SilentReranker, WordReranker
from tests.fakes.shelf import LibraryFixture
from tests.fakes.until import until

DRIVE = "The backup drive lies on shelf Quince, behind the label maker."
BINS = "Bins are collected on Tuesday morning before seven."
FILM = "The film about the lighthouse was shot in Brittany. Marguerite Kermorvan starred in it."


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[LibraryFixture]:
    async with AsyncExitStack() as stack:
        shelf = LibraryFixture(tmp_path, stack)
        shelf.write_document("drive.txt", f"{DRIVE}\n\nIt is encrypted.")
        shelf.write_document("bins.txt", BINS)
        shelf.write_document("film.txt", FILM)
        yield shelf


def documents(result: SearchResult) -> list[str]:
    return [hit.passage.document for hit in result.hits]


async def test_a_question_finds_the_passage_that_answers_it(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    result = await library.search("On which shelf is the backup drive?", ["home"])
    best = result.hits[0]
    assert (best.passage.text, best.passage.document, best.passage.title) == (DRIVE, "drive.txt", "drive")
    assert best.passage.place.end == len(DRIVE)
    assert best.ranks == {"bm25": 1, "vector": 1}
    assert result.supported
    assert result.took_s > 0
    assert await library.get_passage(best.passage.id) == best.passage


async def test_accents_case_and_forms_of_a_word_do_not_matter(shelf: LibraryFixture) -> None:
    shelf.write_document("maison.txt", "L'ÉTAGÈRE du haut porte les câbles.")
    library = await shelf.open()
    await library.reindex()
    assert documents(await library.search("etageres cable", ["home"], limit=1)) == ["maison.txt"]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("地下室的钥匙挂在门后。", "地下室的钥匙在哪里？"),
        ("物置の鍵は玄関の棚にあります。", "物置の鍵はどこですか"),
        ("กุญแจห้องใต้ดินแขวนอยู่หลังประตู", "กุญแจห้องใต้ดินอยู่ที่ไหน"),
        ("지하실의 열쇠는 문 뒤에 있습니다.", "지하실 열쇠"),
        ("तहखाने की चाबी दरवाज़े के पीछे है।", "तहखाने की चाबी"),
        ("הַמַּפְתֵּחַ שֶׁל הַמַּרְתֵּף", "המפתח של המרתף"),
    ],
)
async def test_words_are_found_in_scripts_without_spaces_and_with_marks(
    shelf: LibraryFixture, text: str, question: str
) -> None:
    shelf.write_document("key.txt", text)
    library = await shelf.open()
    await library.reindex()
    result = await library.search(question, ["home"])
    assert (documents(result)[0], result.supported) == ("key.txt", True)
    assert result.hits[0].ranks["bm25"] == 1


async def test_letters_of_other_words_support_nothing(shelf: LibraryFixture) -> None:
    shelf.write_document("key.txt", "तहखाने की चाबी दरवाज़े के पीछे है।")
    library = await shelf.open()
    await library.reindex()
    assert "bm25" not in (await library.search("त ह ख न", ["home"])).hits[0].ranks


async def test_no_more_hits_than_asked(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    assert len((await library.search("drive bins film", ["home"], limit=2)).hits) == 2


@pytest.mark.parametrize("question", ["", "  \n", "?!", "\x00"])
async def test_an_empty_question_finds_nothing_it_could_rest_on(shelf: LibraryFixture, question: str) -> None:
    library = await shelf.open()
    await library.reindex()
    assert not (await library.search(question, ["home"])).supported


async def test_what_no_document_speaks_of_is_not_supported(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    assert not (await library.search("Who won the chess championship in Reykjavik?", ["home"])).supported


async def test_an_empty_library_finds_nothing(shelf: LibraryFixture) -> None:
    library = await shelf.open("empty")
    await library.reindex()
    result = await library.search("drive", ["empty"])
    assert (result.hits, result.supported) == ((), False)


async def test_no_collections_find_nothing(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    assert (await library.search("drive", [])).hits == ()


async def test_an_unknown_collection_is_named_with_those_there_are(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    with pytest.raises(UnknownCollection, match="no collection 'wine'; the config has: home"):
        await library.search("drive", ["wine"])
    with pytest.raises(UnknownCollection):
        await library.reindex(["wine"])


async def test_only_the_collections_named_are_searched(shelf: LibraryFixture) -> None:
    shelf.write_document("secret.txt", "The backup drive has the code 4711.", collection="private")
    library = await shelf.open("home", "private")
    await library.reindex()
    assert "secret.txt" not in documents(await library.search("backup drive code", ["home"], limit=50))
    assert "secret.txt" in documents(await library.search("backup drive code", ["home", "private"], limit=50))


async def test_opening_with_another_config_removes_nothing(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    await library.close()
    other = await shelf.open("other")
    assert [state.name for state in await other.collection_states()] == ["other"]
    assert await other.unconfigured_collections() == (WithheldRemoval("home", 3, "unconfigured"),)
    assert (await other.search("backup drive", ["other"])).hits == ()
    await other.close()
    library = await shelf.open()
    assert documents(await library.search("backup drive", ["home"], limit=1)) == ["drive.txt"]
    assert await library.unconfigured_collections() == ()


async def test_a_collection_that_left_the_config_is_removed_when_that_is_confirmed(shelf: LibraryFixture) -> None:
    shelf.write_document("secret.txt", "The backup drive has the code 4711.", collection="private")
    library = await shelf.open("home", "private")
    await library.reindex()
    await library.close()
    library = await shelf.open("home")
    report = await library.reindex()
    assert report.withheld == (WithheldRemoval("private", 1, "unconfigured"),)
    assert not report.is_complete
    assert (await library.reindex(["home"])).withheld == ()
    report = await library.reindex(confirm_removals=True)
    assert (report.removed, report.withheld) == (1, ())
    await library.close()
    library = await shelf.open("home", "private")
    assert [(state.name, state.passages) for state in await library.collection_states()] == [
        ("home", 4),
        ("private", 0),
    ]
    # The index is brought up to date after opening, and written beside the former one until it is whole.
    await until(lambda: len(list(shelf.data.glob("vectors-*"))) == 1)


async def test_a_renamed_collection_is_not_embedded_again(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    await library.close()
    assert isinstance(shelf.embedder, CountingEmbedder)
    shelf.embedder.embedded.clear()
    (shelf.folder / "home").rename(shelf.folder / "house")
    library = await shelf.open("house")
    report = await library.reindex()
    assert (report.added, report.removed, shelf.embedder.embedded) == (3, 0, [])
    assert report.withheld == (WithheldRemoval("home", 3, "unconfigured"),)
    assert (await library.search("backup drive", ["house"])).hits[0].ranks.keys() == {"bm25", "vector"}


async def test_an_emptied_folder_keeps_its_documents_until_it_is_confirmed(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    for path in (shelf.folder / "home").iterdir():
        path.unlink()
    for _ in range(2):
        report = await library.reindex()
        assert (report.removed, report.withheld) == (0, (WithheldRemoval("home", 3, "vanished"),))
        assert documents(await library.search("backup drive", ["home"], limit=1)) == ["drive.txt"]
    report = await library.reindex(confirm_removals=True)
    assert (report.removed, report.withheld) == (3, ())
    assert (await library.search("backup drive", ["home"])).hits == ()


async def test_a_share_that_comes_back_is_as_it_was(shelf: LibraryFixture) -> None:
    assert isinstance(shelf.embedder, CountingEmbedder)
    library = await shelf.open()
    await library.reindex()
    shelf.embedder.embedded.clear()
    (shelf.folder / "home").rename(shelf.folder / "away")
    (shelf.folder / "home").mkdir()
    assert (await library.reindex()).withheld
    (shelf.folder / "home").rmdir()
    (shelf.folder / "away").rename(shelf.folder / "home")
    report = await library.reindex()
    assert (report.added, report.unchanged, report.withheld, shelf.embedder.embedded) == (0, 3, (), [])


async def test_documents_of_a_mount_that_is_away_are_kept(
    shelf: LibraryFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, mounted = folder_scan._list_folder, shelf.folder / "home" / "share"
    shelf.write_document("share/boiler.txt", "The boiler is reset with the amber key.")

    def list_folder(folder: Path) -> tuple[int, list[str], list[os.DirEntry[str]]]:
        device, folders, files = real(folder)
        return device + (folder == mounted and bool(files)), folders, files

    monkeypatch.setattr(folder_scan, "_list_folder", list_folder)
    library = await shelf.open()
    await library.reindex()
    (mounted / "boiler.txt").unlink()
    for _ in range(2):
        assert (await library.reindex()).withheld == (WithheldRemoval("home", 1, "unmounted"),)
    assert documents(await library.search("amber key of the boiler", ["home"], limit=1)) == ["share/boiler.txt"]
    assert (await library.reindex(confirm_removals=True)).removed == 1
    assert (await library.reindex()).withheld == ()


async def test_another_embedder_for_one_collection_leaves_the_vectors_of_the_others(shelf: LibraryFixture) -> None:
    shelf.write_document("drive.txt", "The code of the drive is 4711.", collection="private")
    library = await shelf.open("home", "private")
    await library.reindex()
    await library.close()
    first, shelf.embedder = shelf.embedder, CountingEmbedder(dimension=32)
    library = await shelf.open("home", "private")
    assert {state.name: state.embedder_changed for state in await library.collection_states()} == {
        "home": True,
        "private": True,
    }
    await library.reindex(["private"])
    states = {state.name: (state.embedder_changed, state.index_ready) for state in await library.collection_states()}
    assert states == {"home": (True, False), "private": (False, True)}
    ranks = {
        hit.passage.collection: set(hit.ranks) for hit in (await library.search("drive", ["home", "private"])).hits
    }
    assert ranks == {"home": {"bm25"}, "private": {"bm25", "vector"}}
    await library.close()
    shelf.embedder = first
    assert isinstance(first, CountingEmbedder)
    first.embedded.clear()
    library = await shelf.open("home", "private")
    await library.reindex(["home"])
    assert first.embedded == []
    assert (await library.search("drive", ["home"])).hits[0].ranks == {"bm25": 1, "vector": 1}


@pytest.mark.parametrize("end", ["deleted", "changed", "collection removed"])
async def test_no_word_of_a_document_that_is_gone_stays_in_a_file(shelf: LibraryFixture, end: str) -> None:
    path = shelf.write_document("z.txt", "The ZEBRAWORD opens with quaggacode.\n\nMore of the ZEBRAWORD.", "private")
    library = await shelf.open("home", "private")
    await library.reindex()
    await library.close()
    assert words_in_files(shelf.data) == {b"zebraword", b"quaggacod"}
    if end == "changed":
        path.write_text("Nothing.")
    elif end == "deleted":
        path.unlink()
    library = await shelf.open("home", *(["private"] if end != "collection removed" else []))
    await library.reindex(confirm_removals=True)
    assert words_in_files(shelf.data) == set()
    assert documents(await library.search("backup drive", ["home"], limit=1)) == ["drive.txt"]


def words_in_files(folder: Path) -> set[bytes]:
    data = b"".join(path.read_bytes() for path in folder.iterdir()).lower()
    return {word for word in (b"zebraword", b"quaggacod") if word in data}


async def test_a_short_follow_up_is_searched_with_the_question_before_it(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    context = "Where was the film about the lighthouse shot?"
    assert documents(await library.search("And who is in it?", ["home"], limit=1, context=context)) == ["film.txt"]


async def test_a_question_that_stands_by_itself_is_not_drowned_by_what_came_before(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    context = "Where was the film about the lighthouse shot?"
    question = "On which shelf is the backup drive?"
    assert documents(await library.search(question, ["home"], context=context))[:2] == ["drive.txt", "film.txt"]


async def test_what_was_indexed_is_there_after_a_restart(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    before = (await library.search("backup drive", ["home"])).hits
    await library.close()
    library = await shelf.open()
    assert (await library.search("backup drive", ["home"])).hits == before


async def test_the_files_are_for_their_owner_only(shelf: LibraryFixture) -> None:
    library = await shelf.open()
    await library.reindex()
    names = {path.name.partition("-")[0]: stat.S_IMODE(path.stat().st_mode) for path in shelf.data.iterdir()}
    assert set(names.values()) == {0o600}
    assert {"knowledge.sqlite3", "vectors"} <= names.keys()


async def test_the_state_tells_what_is_indexed(shelf: LibraryFixture) -> None:
    shelf.write_document("broken.txt", "unreadable")
    library = await shelf.open()
    await library.reindex()
    (state,) = await library.collection_states()
    assert (state.name, state.documents, state.passages, state.failed, state.index_ready) == ("home", 3, 4, 1, True)


async def test_without_an_embedding_model_words_alone_find(
    shelf: LibraryFixture, caplog: pytest.LogCaptureFixture
) -> None:
    library = await shelf.open()
    await library.reindex()
    await library.close()
    shelf.embedder = BrokenEmbedder()
    library = await shelf.open()
    result = await library.search("On which shelf is the backup drive?", ["home"])
    assert result.hits[0].ranks == {"bm25": 1}
    assert result.supported
    assert "by words only until the embedding model works" in caplog.text
    assert not (await library.collection_states())[0].index_ready


async def test_a_model_that_fails_at_a_question_leaves_the_words(
    shelf: LibraryFixture, caplog: pytest.LogCaptureFixture
) -> None:
    library = await shelf.open()
    await library.reindex()
    fingerprint = shelf.embedder.fingerprint
    await library.close()
    shelf.embedder = BrokenEmbedder(fingerprint)
    library = await shelf.open()
    assert documents(await library.search("backup drive", ["home"], limit=1)) == ["drive.txt"]
    assert "for this question by words only" in caplog.text


async def test_a_passage_that_is_gone_is_none(shelf: LibraryFixture) -> None:
    library: Library = await shelf.open()
    assert await library.get_passage(12345) is None


async def open_with(shelf: LibraryFixture, reranker: Reranker) -> Library:
    """A library with a reranker on two documents, of which the question's words favour `drive.txt`."""
    shelf.write_document("drive.txt", "On the shelf is the backup drive.")
    shelf.write_document("printer.txt", "which printer prints on both sides")
    for name in ("bins", "film"):
        (shelf.folder / "home" / f"{name}.txt").unlink()
    settings = KnowledgeSettings(collections={"home": CollectionSettings(folder=shelf.folder / "home")})
    shelf.data.mkdir()
    reranking = Reranking(reranker, RerankingSettings(kind="fastembed", time_limit_s=0.5))
    library = await Library.open(settings, shelf.embedder, shelf.reader, shelf.data, reranking=reranking)
    shelf.stack.push_async_callback(library.close)
    await library.reindex()
    return library


async def test_a_reranker_orders_the_hits_and_leaves_their_scores(shelf: LibraryFixture) -> None:
    library = await open_with(shelf, ReversingReranker())
    result = await library.search("On the shelf is the backup drive", ["home"], explain=True)
    assert documents(result) == ["printer.txt", "drive.txt"]
    assert result.hits[0].score < result.hits[1].score
    assert [hit.ranks["reranker"] for hit in result.hits] == [1, 2]
    assert [hit.explanation.reranker for hit in result.hits if hit.explanation] == [1.0, 0.0]
    assert "reranking" in result.timings
    assert result.supported


async def test_the_reranker_reads_title_and_text_with_the_previous_question(shelf: LibraryFixture) -> None:
    words = WordReranker()
    library = await open_with(shelf, words)
    await library.search("which printer", ["home"], context="backup drive")
    ((question, texts),) = words.asked
    assert question == "backup drive which printer"
    assert "printer\nwhich printer prints on both sides" in texts


@pytest.mark.parametrize("reranker", [BrokenReranker(), SilentReranker()], ids=["broken", "silent"])
async def test_without_the_rerankers_answer_the_fused_order_stands(shelf: LibraryFixture, reranker: Reranker) -> None:
    library = await open_with(shelf, reranker)
    result = await library.search("On the shelf is the backup drive", ["home"])
    assert documents(result) == ["drive.txt", "printer.txt"]
    assert result.supported
    assert "reranker" not in result.hits[0].ranks


async def test_closing_the_library_closes_the_reranker(shelf: LibraryFixture) -> None:
    words = WordReranker()
    library = await open_with(shelf, words)
    await library.close()
    assert words.is_closed


async def test_a_state_tells_the_languages_of_the_documents(shelf: LibraryFixture) -> None:
    shelf.write_document("a.txt", "Everything about alpacas.")
    library = await shelf.open("home", "other")
    await library.reindex()
    assert {state.name: dict(state.languages) for state in await library.collection_states()} == {
        "home": {"en": 4},
        "other": {},
    }

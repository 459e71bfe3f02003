import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge.library import Library, UnknownCollection
from knowledge.passages import SearchResult
from tests.fakes.embedders import BrokenEmbedder
from tests.fakes.shelf import LibraryFixture

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


async def test_a_collection_that_left_the_config_is_gone_for_good(shelf: LibraryFixture) -> None:
    shelf.write_document("secret.txt", "The backup drive has the code 4711.", collection="private")
    library = await shelf.open("home", "private")
    await library.reindex()
    await library.close()
    await (await shelf.open("home")).close()
    library = await shelf.open("home", "private")
    assert [(state.name, state.passages) for state in await library.collection_states()] == [
        ("home", 4),
        ("private", 0),
    ]
    assert len(list(shelf.data.glob("vectors-*"))) <= 2


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

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge import indexing, prepared_documents
from knowledge.passages import SearchResult
from tests.fakes.embedders import CountingEmbedder
from tests.fakes.shelf import LibraryFixture

PLANTS = "apple birch cedar daisy elder fern grape hazel iris jasmine kale lilac maple nettle olive peach quince rose"


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[LibraryFixture]:
    async with AsyncExitStack() as stack:
        shelf = LibraryFixture(tmp_path, stack, embedder=CountingEmbedder(dimension=384))
        for number, plant in enumerate(PLANTS.split()):
            shelf.write_document(f"garden/bed {number}.txt", f"The {plant} grows along the wall of the yard.")
        yield shelf


async def search(shelf: LibraryFixture, question: str, *collections: str, limit: int = 6) -> SearchResult:
    """The result of a search after indexing everything."""
    library = await shelf.open(*collections)
    await library.reindex()
    return await library.search(question, collections or ["home"], limit=limit)


def documents(result: SearchResult) -> list[str]:
    return [hit.passage.document for hit in result.hits]


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("Which pressure for the Volvo?", "cars/volvo v60/tyres.txt"),
        ("Which pressure for the Fiat Panda?", "cars/fiat-panda/tyres.txt"),
        ("What is in fritz-notes.txt?", "fritz-notes.txt"),
        ("lease 2024 annex b", "lease-2024-annex-b.txt"),
        ("What is in the file lease-2023-annex-a.txt?", "lease-2023-annex-a.txt"),
    ],
)
async def test_folders_and_file_names_are_searched(shelf: LibraryFixture, question: str, document: str) -> None:
    shelf.write_document("cars/fiat-panda/tyres.txt", "Pressure 2.1 bar, all year.")
    shelf.write_document("cars/volvo v60/tyres.txt", "Pressure 2.6 bar, all year.")
    shelf.write_document("fritz-notes.txt", "Channel eleven since the neighbours moved in.")
    shelf.write_document("lease-2023-annex-a.txt", "Two keys, one stove.")
    shelf.write_document("lease-2024-annex-b.txt", "Bikes stand in the yard.")
    result = await search(shelf, question)
    assert (documents(result)[0], result.supported) == (document, True)


async def test_the_number_of_a_row_is_no_word(shelf: LibraryFixture) -> None:
    shelf.write_document("phones.rows", "\n".join(f"extension of {plant}" for plant in PLANTS.split()))
    result = await search(shelf, "number 18")
    assert [(hit.passage.document, hit.passage.text, hit.ranks) for hit in result.hits if "bm25" in hit.ranks] == []
    assert not result.supported


PARTS = {
    "WP-150-30": "Impeller of the cellar pump",
    "WP-30-150": "Float of the rain tank",
    "WP-300-15": "Seal of the garden pump",
    "192.168.1.42": "The printer",
    "192.168.42.1": "The router",
}


@pytest.mark.parametrize("code", PARTS)
async def test_a_code_is_found_in_its_order(shelf: LibraryFixture, code: str) -> None:
    for number, (name, thing) in enumerate(PARTS.items()):
        shelf.write_document(f"parts/{number}.txt", f"{thing} is {name}, drawer {number}.")
    result = await search(shelf, f"What is {code}?")
    assert (result.hits[0].passage.text.startswith(PARTS[code]), result.supported) == (True, True)


@pytest.mark.parametrize("code", ["WP-300-30", "192.168.24.1", "ZX-15-WP"])
async def test_a_code_that_is_nowhere_is_not_supported_by_those_that_resemble_it(
    shelf: LibraryFixture, code: str
) -> None:
    for number, (name, thing) in enumerate(PARTS.items()):
        shelf.write_document(f"parts/{number}.txt", f"{thing} is part {name}, drawer {number}.")
    assert not (await search(shelf, f"What is part {code}?")).supported


@pytest.mark.parametrize(
    "question",
    [
        "What happened on 2025-03-05?",
        "What did we do on 5 March 2025?",
        "Was war am 5. März 2025?",
        "Que s'est-il passé le 5 mars 2025 ?",
        "05.03.2025",
    ],
)
async def test_a_date_is_found_in_the_forms_that_people_write(shelf: LibraryFixture, question: str) -> None:
    shelf.write_document("diary/2024-03-05.txt", "Painted the shed.")
    shelf.write_document("diary/2025-03-05.txt", "Bled the radiators.")
    shelf.write_document("diary/2025-05-03.txt", "Planted the beans.")
    result = await search(shelf, question)
    assert (documents(result)[0], result.supported) == ("diary/2025-03-05.txt", True)


@pytest.mark.parametrize("question", ["Who has 030 1234567?", "Whose number is +49 30 123 45 67?", "0301234567"])
async def test_a_phone_number_is_found_however_it_is_grouped(shelf: LibraryFixture, question: str) -> None:
    shelf.write_document("plumber.txt", "The plumber: 030/123 45 67, evenings too.")
    shelf.write_document("sweep.txt", "The chimney sweep: 030/765 43 21.")
    result = await search(shelf, question)
    assert (documents(result)[0], result.supported) == ("plumber.txt", True)


async def test_a_letter_after_a_noun_decides(shelf: LibraryFixture) -> None:
    for letter, thing in zip("ABCDS", ("oven", "cellar", "lights", "study", "sauna"), strict=True):
        shelf.write_document(f"circuits/{thing}.txt", f"Circuit {letter} feeds the {thing}.")
    for letter, thing in (("C", "lights"), ("D", "study"), ("S", "sauna")):
        result = await search(shelf, f"What does circuit {letter} feed?")
        assert documents(result)[0] == f"circuits/{thing}.txt"


@pytest.mark.parametrize("question", ["Where is the dishwashr?", "Where is the dihswasher?", "dishwassher"])
async def test_a_misspelt_word_is_found_when_nothing_else_is(shelf: LibraryFixture, question: str) -> None:
    shelf.write_document("kitchen.txt", "The dishwasher stands below the window.")
    result = await search(shelf, question)
    assert (documents(result)[0], result.supported) == ("kitchen.txt", True)


async def test_a_word_is_not_corrected_by_documents_of_others(shelf: LibraryFixture) -> None:
    shelf.write_document("kitchen.txt", "The dishwasher stands below the window.", "private")
    library = await shelf.open("home", "private")
    await library.reindex()
    assert (await library.search("dishwashr", ["private"])).supported
    assert not (await library.search("dishwashr", ["home"])).supported


async def test_a_rare_word_that_is_there_is_not_taken_for_a_slip(shelf: LibraryFixture) -> None:
    for number in range(5):
        shelf.write_document(f"boxes/{number}.txt", f"The letter box of flat {number} is brown.")
    shelf.write_document("salad.txt", "The lettuce stands in the cold frame.")
    assert documents(await search(shelf, "Where is the lettuce?"))[0] == "salad.txt"


async def test_copies_give_way_to_other_passages(shelf: LibraryFixture) -> None:
    for number in range(8):
        shelf.write_document(
            f"backup {number}/pool.txt", "Backwash the filter of the pool when the gauge shows one bar."
        )
    shelf.write_document("contractor.txt", "The contractor changed the gauge of the pool.")
    shelf.write_document("strips.txt", "The strips for the pool lie in the shed.")
    found = documents(await search(shelf, "When is the filter of the pool backwashed, by its gauge?", limit=3))
    assert found[0].startswith("backup ")
    assert set(found[1:]) == {"contractor.txt", "strips.txt"}


async def test_the_question_in_a_story_is_answered(shelf: LibraryFixture) -> None:
    shelf.write_document("ladder.txt", "The tall ladder hangs in the garage.")
    story = (
        "ok so I was about to clean the gutters since the weather is finally nice and Tom said he put it back after he"
        " did the plums last year but honestly I can't remember a thing, where did the tall ladder end up"
    )
    result = await search(shelf, story)
    assert (documents(result)[0], result.supported) == ("ladder.txt", True)


async def test_a_new_way_of_stemming_writes_every_passage_again_and_embeds_none(
    shelf: LibraryFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = await shelf.open()
    await library.reindex()
    assert isinstance(shelf.embedder, CountingEmbedder)
    embedded = len(shelf.embedder.embedded)
    monkeypatch.setattr(indexing, "STEMMING_VERSION", 99)
    monkeypatch.setattr(prepared_documents, "STEMMING_VERSION", 99)
    report = await library.reindex()
    assert (report.changed, report.unchanged) == (len(PLANTS.split()), 0)
    assert len(shelf.embedder.embedded) == embedded
    assert (await library.search("Where does the quince grow?", ["home"])).supported

"""The explanation of a search: its parts add up to the score, down to the words."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from knowledge.library import Library
from knowledge.passages import Hit
from tests.fakes.shelf import LibraryFixture


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    async with AsyncExitStack() as stack:
        shelf = LibraryFixture(tmp_path, stack)
        shelf.write_document("drive.txt", "The backup drive is on the shelf in the cellar.")
        shelf.write_document("printer.txt", "The printer takes paper from the shelf.")
        shelf.write_document("bins.txt", "Bins are collected on Tuesday morning.")
        shelf.write_document("film.txt", "A film about a whale and its captain.")
        opened = await shelf.open()
        await opened.reindex()
        yield opened


async def explained(library: Library, question: str, context: str = "") -> tuple[Hit, ...]:
    return (await library.search(question, ["home"], explain=True, context=context)).hits


async def test_the_parts_add_up_to_the_score(library: Library) -> None:
    hits = await explained(library, "On which shelf is the backup drive?", context="Tell me about the printer.")
    assert hits[0].passage.document == "drive.txt"
    for hit in hits:
        parts = hit.explanation
        assert parts is not None
        assert parts.lexical + parts.vector + parts.context == pytest.approx(hit.score)
        assert sum(word.share for word in parts.words) == pytest.approx(parts.lexical)


async def test_each_word_is_told_as_it_was_asked_with_what_it_adds(library: Library) -> None:
    first, *others = await explained(library, "Which SHELF holds backup drives and zebras?")
    assert first.explanation is not None
    words = {word.word: word for word in first.explanation.words}
    assert set(words) == {"shelf", "holds", "backup", "drives", "zebras"}
    assert words["backup"].share > words["shelf"].share > 0
    assert (words["backup"].passages, words["shelf"].passages, words["zebras"].passages) == (1, 2, 0)
    assert words["zebras"].share == 0.0 < words["zebras"].most
    printer = next(hit for hit in others if hit.passage.document == "printer.txt")
    assert printer.explanation is not None
    assert [word.word for word in printer.explanation.words if word.share] == ["shelf"]


async def test_a_question_without_context_has_no_part_of_one(library: Library) -> None:
    (first, *_) = await explained(library, "backup drive")
    assert first.explanation is not None
    assert first.explanation.context == 0.0
    assert first.explanation.reranker is None
    assert first.explanation.cosine is not None


async def test_nothing_is_explained_unless_asked(library: Library) -> None:
    assert [hit.explanation for hit in (await library.search("backup drive", ["home"])).hits] == [None] * 4

"""What every Reader keeps to: the confined child process, and the fake that faster tests use."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from knowledge.reader import DocumentReader, FileUnreadable, SourceFile
from knowledge.reading.reader import ProcessReader
from tests.fakes.paragraph_reader import ParagraphReader

TEXT = "The backup drive lives on shelf Heron.\n\nThe boiler is reset with the amber key."
BINARY = b"\x00\x01unreadable\x00" * 50


@pytest.fixture(params=[ProcessReader, ParagraphReader])
async def reader(request: pytest.FixtureRequest) -> AsyncIterator[DocumentReader]:
    made: DocumentReader = request.param()
    yield made
    await made.close()


async def test_a_file_becomes_a_document_whose_passages_hold_its_text(reader: DocumentReader, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "house.txt").write_text(TEXT)
    (document,) = await reader.read_file(SourceFile(tmp_path, "notes/house.txt"))
    assert document.document == "notes/house.txt"
    assert document.problem == ""
    assert all(draft.text in TEXT for draft in document.drafts)
    assert "amber key" in " ".join(draft.text for draft in document.drafts)


async def test_passages_know_where_they_stand(reader: DocumentReader, tmp_path: Path) -> None:
    (tmp_path / "house.txt").write_text(TEXT)
    (document,) = await reader.read_file(SourceFile(tmp_path, "house.txt"))
    for draft in document.drafts:
        assert TEXT[draft.place.start : draft.place.end].strip() == draft.text.strip()


async def test_bytes_are_read_like_the_file_that_they_would_be(reader: DocumentReader, tmp_path: Path) -> None:
    (tmp_path / "house.txt").write_text(TEXT)
    from_file = await reader.read_file(SourceFile(tmp_path, "house.txt"))
    assert await reader.read_bytes("house.txt", TEXT.encode()) == from_file


async def test_what_cannot_be_read_is_a_sentence_and_the_next_file_is_read(reader: DocumentReader) -> None:
    with pytest.raises(FileUnreadable) as caught:
        await reader.read_bytes("house.txt", BINARY)
    assert caught.value.reason.endswith(".")
    assert await reader.read_bytes("house.txt", TEXT.encode())

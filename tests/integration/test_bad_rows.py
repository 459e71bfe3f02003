"""A bad row of a table costs itself: its neighbours are found, and the report names it."""

from pathlib import Path

from knowledge.embedding import HashingEmbedder
from knowledge.library import Library
from knowledge.reading.reader import ProcessReader
from knowledge.settings import CollectionSettings, KnowledgeSettings


async def test_a_bad_line_is_reported_and_its_neighbours_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    rows = [
        '{"device": "router", "shelf": "Bramble"}',
        '{"device": "printer"',
        '{"device": "scanner", "shelf": "Medlar"}',
    ]
    (folder / "devices.jsonl").write_text("\n".join(rows))
    reader = ProcessReader()
    settings = KnowledgeSettings(collections={"home": CollectionSettings(folder=folder)})
    library = await Library.open(settings, HashingEmbedder(64), reader, tmp_path)
    try:
        report = await library.reindex()
        found = await library.search("On which shelf is the scanner?", ["home"])
        (state,) = await library.collection_states()
    finally:
        await library.close()
        await reader.close()
    assert report.added == 2
    assert [failure.document for failure in report.failed] == ["devices.jsonl#row-2"]
    assert report.failed[0].reason
    assert "Medlar" in found.hits[0].passage.text
    assert state.documents == 2

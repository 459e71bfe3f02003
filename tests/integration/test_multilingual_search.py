"""A multilingual embedder behind the port of embedders: questions find documents in another language."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from knowledge.library import Library
from knowledge.reading.settings import ReadingSettings
from knowledge.settings import CollectionSettings, KnowledgeSettings
from tests.fakes.multilingual import MultilingualEmbedder
from tests.fakes.paragraph_reader import ParagraphReader

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENTS = {
    "chaudiere.txt": "La chaudière est purgée chaque automne ; le technicien vient en octobre.",
    "poubelles.txt": "Les poubelles sont ramassées le mardi matin avant sept heures.",
    "drive.txt": "The backup drive lies on the shelf in the study, behind the label maker.",
    "heizung.txt": "Der Schlüssel zum Gartenhaus hängt neben der Kellertür.",
}
QUESTIONS = {
    "When is the rubbish collected?": "poubelles.txt",
    "When does the engineer come to service the boiler?": "chaudiere.txt",
    "Wo liegt die Festplatte mit den Backups?": "drive.txt",
    "Où est la clé de la cabane du jardin ?": "heizung.txt",
    "Where is the key of the garden shed?": "heizung.txt",
}


@pytest.fixture(scope="module")
def embedder(multilingual_files: Path) -> MultilingualEmbedder:
    return MultilingualEmbedder(multilingual_files)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def library(embedder: MultilingualEmbedder, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Library]:
    folder = tmp_path_factory.mktemp("library")
    (folder / "home").mkdir()
    for name, text in DOCUMENTS.items():
        (folder / "home" / name).write_text(text, encoding="utf-8")
    collections = {"home": CollectionSettings(folder=folder / "home")}
    settings = KnowledgeSettings(collections=collections, reading=ReadingSettings())
    library = await Library.open(settings, embedder, ParagraphReader(), folder)
    await library.reindex()
    yield library
    await library.close()


@pytest.mark.parametrize(("question", "document"), QUESTIONS.items())
async def test_a_question_finds_its_document_in_another_language(
    library: Library, question: str, document: str
) -> None:
    result = await library.search(question, ["home"])
    assert result.hits[0].passage.document == document


async def test_it_keeps_to_the_port(embedder: MultilingualEmbedder) -> None:
    vectors = embedder.embed_passages([*DOCUMENTS.values(), "", "漢字 🙂\x00"])
    assert vectors.shape == (6, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors[:4], axis=1) == pytest.approx([1.0] * 4, abs=1e-5)
    assert embedder.embed_passages([]).shape == (0, embedder.dimension)
    assert embedder.embed_question("où ?").shape == (embedder.dimension,)

"""A multilingual embedder behind the port of embedders: questions find documents in another language."""

import platform
import sys
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

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="this model's engine is for Linux on x86-64"
    ),
]

DOCUMENTS = {
    "en/water.txt": "The main tap is in the cellar, behind the shelf with the jars.",
    "en/heating.txt": "The heating pump is switched to summer mode in May. The chimney is swept in November.",
    "de/muell.txt": "Die Papiertonne wird jeden zweiten Donnerstag abgeholt, die gelbe am Montag.",
    "de/garten.txt": "Die Regentonne wird vor dem Frost geleert. Der Schlüssel zum Schuppen hängt am Birnbaum.",
    "fr/cave.txt": "La pompe démarre seule quand l'eau monte. Le disjoncteur est derrière la porte.",
    "fr/chaudiere.txt": "La chaudière est purgée chaque automne ; le technicien vient en octobre.",
}
QUESTIONS = {
    "Wo ist der Haupthahn für das Wasser?": "en/water.txt",
    "Wann wird die Heizung auf Sommerbetrieb gestellt?": "en/heating.txt",
    "When is the paper bin collected?": "de/muell.txt",
    "Where is the circuit breaker?": "fr/cave.txt",
    "When does the engineer service the boiler?": "fr/chaudiere.txt",
}


@pytest.fixture(scope="module")
def embedder(multilingual_files: Path) -> MultilingualEmbedder:
    return MultilingualEmbedder(multilingual_files)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def library(embedder: MultilingualEmbedder, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Library]:
    folder = tmp_path_factory.mktemp("library")
    (folder / "home").mkdir()
    for name, text in DOCUMENTS.items():
        path = folder / "home" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    collections = {"home": CollectionSettings(folder=folder / "home")}
    settings = KnowledgeSettings(collections=collections, reading=ReadingSettings())
    library = await Library.open(settings, embedder, ParagraphReader(), folder)
    await library.reindex()
    yield library
    await library.close()


@pytest.mark.parametrize(("question", "document"), QUESTIONS.items())
async def test_a_question_is_nearest_to_its_document_in_another_language(
    library: Library, question: str, document: str
) -> None:
    hits = (await library.search(question, ["home"])).hits
    (nearest,) = [hit.passage.document for hit in hits if hit.ranks["vector"] == 1]
    assert nearest == document


async def test_it_keeps_to_the_port(embedder: MultilingualEmbedder) -> None:
    vectors = embedder.embed_passages([*DOCUMENTS.values(), "", "漢字 🙂\x00"])
    assert vectors.shape == (8, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors[:6], axis=1) == pytest.approx([1.0] * 6, abs=1e-5)
    assert embedder.embed_passages([]).shape == (0, embedder.dimension)
    assert embedder.embed_question("où ?").shape == (embedder.dimension,)

"""What is asked of the demo's documents is found in them: real reader, real embedding model, usearch and SQLite."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from knowledge.embedding import build_embedder
from knowledge.library import Library
from knowledge.passages import SearchResult
from knowledge.reading.reader import ProcessReader
from knowledge.settings import CollectionSettings, EmbeddingSettings, KnowledgeSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEMO = Path(__file__).parents[2] / "deploy" / "demo"
OFF_TOPIC = [
    "What is the capital of Mongolia?",
    "How do I bake sourdough bread?",
    "Who won the world cup in 1998?",
    "Where did Napoleon die?",
    "Explain quantum entanglement.",
    "Quelle est la recette de la ratatouille ?",
]


@dataclass(frozen=True)
class Asked:
    """A question of the demo, the document that answers it (None: there is none), and what the library found."""

    language: str
    document: str | None
    result: SearchResult

    def found_within(self, places: int) -> bool:
        """Whether the right document is among the first passages; a row counts as its file."""
        return self.document in [hit.passage.document.partition("#")[0] for hit in self.result.hits[:places]]


def share(asked: list[Asked], places: int, language: str) -> float:
    """The share of the questions in a language whose document is among the first `places` passages."""
    chosen = [one.found_within(places) for one in asked if one.language == language and one.document]
    return sum(chosen) / len(chosen)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["fastembed", "hashing"])
async def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, embedding_files: Path
) -> AsyncIterator[Library]:
    """The demo's documents, indexed once: the tests only search."""
    folder = tmp_path_factory.mktemp("library")
    settings = KnowledgeSettings(
        collections={"home": CollectionSettings(folder=DEMO / "documents")},
        embedding=EmbeddingSettings(kind=request.param),
    )
    reader = ProcessReader(settings.reading)
    library = await Library.open(settings, build_embedder(settings.embedding, embedding_files, folder), reader, folder)
    report = await library.reindex()
    assert report.failed == ()
    assert report.added >= 15
    yield library
    await library.close()
    await reader.close()


async def test_the_right_page_of_the_handbook_is_found(library: Library) -> None:
    lines = (DEMO / "questions.jsonl").read_text("utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    asked = [Asked(q["language"], q["document"], await library.search(q["question"], ["home"])) for q in questions]
    answerable = [one for one in asked if one.document]
    refused = sum(not one.result.supported for one in answerable) / len(answerable)
    figures = {f"{tongue}@{n}": round(share(asked, n, tongue), 2) for tongue in ("en", "fr") for n in (1, 3)}
    print(figures, f"refused wrongly: {refused:.2f}")
    # Measured: en@1 0.84 to 0.86, en@3 0.88 to 0.95, fr@1 0.65 to 0.70, fr@3 0.78 to 0.87, refused 0.06 to 0.14.
    # The questions are hard on purpose: a third shares no word with its page, some French ones have an English page.
    assert figures["en@1"] >= 0.80
    assert figures["en@3"] >= 0.85
    assert figures["fr@1"] >= 0.60
    assert figures["fr@3"] >= 0.75
    assert refused <= 0.17


async def test_what_is_not_in_the_handbook_is_not_supported(library: Library) -> None:
    assert [question for question in OFF_TOPIC if (await library.search(question, ["home"])).supported] == []


async def test_the_question_of_the_demo_finds_its_page_first(library: Library) -> None:
    result = await library.search("On which shelf is the backup drive?", ["home"])
    assert result.supported
    assert result.hits[0].passage.document == "backup/backup-drive.md"

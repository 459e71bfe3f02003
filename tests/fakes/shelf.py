"""A folder of documents and a library on it, opened and closed by the test."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from knowledge.embedding import Embedder
from knowledge.library import Library
from knowledge.passages import CollectionState
from knowledge.reading.settings import ReadingSettings
from knowledge.settings import CollectionSettings, KnowledgeSettings
from tests.fakes.embedders import CountingEmbedder
from tests.fakes.paragraph_reader import ParagraphReader


@dataclass
class LibraryFixture:
    """Documents below `folder/<collection>`, data below `folder/data`."""

    folder: Path
    stack: AsyncExitStack
    reader: ParagraphReader = field(default_factory=ParagraphReader)
    embedder: Embedder = field(default_factory=CountingEmbedder)

    @property
    def data(self) -> Path:
        """Where the library keeps its files."""
        return self.folder / "data"

    def write_document(self, document: str, text: str, collection: str = "home") -> Path:
        """Write a document."""
        path = self.folder / collection / document
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    async def open(
        self,
        *collections: str,
        is_model_busy: Callable[[], bool] = lambda: False,
        reading: ReadingSettings | None = None,
        on_indexed: Callable[[Sequence[CollectionState]], None] = lambda _: None,
    ) -> Library:
        """Open a library on the collections named, `home` if none is."""
        self.data.mkdir(exist_ok=True)
        for name in collections or ("home",):
            (self.folder / name).mkdir(exist_ok=True)
        chosen = {
            name: CollectionSettings(folder=self.folder / name, include=("**/*.txt", "**/*.rows"))
            for name in collections or ("home",)
        }
        settings = KnowledgeSettings(collections=chosen, reading=reading or ReadingSettings())
        library = await Library.open(
            settings, self.embedder, self.reader, self.data, is_model_busy=is_model_busy, on_indexed=on_indexed
        )
        self.stack.push_async_callback(library.close)
        return library

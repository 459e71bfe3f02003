"""Reader of a judged set's documents: each is split into passages as a file of its text would be."""

from collections.abc import Iterable

from knowledge.chunking import split_text
from knowledge.evaluation.judged_set import JudgedDocument
from knowledge.languages import detect_language
from knowledge.reader import FileUnreadable, ReadDocument, SourceFile

_SAMPLE_DOCUMENTS = 200


class SetReader:
    """Fills `DocumentReader` for the corpus of one set, whatever file it is asked for.

    A document whose own language is unclear gets that of most others.
    """

    def __init__(self, documents: Iterable[JudgedDocument], passage_characters: int) -> None:
        self._documents = list(documents)
        self._passage_characters = passage_characters

    async def read_file(self, source: SourceFile) -> list[ReadDocument]:
        """All documents of the set."""
        languages = [detect_language(each.text) for each in self._documents]
        usual = max(set(languages[:_SAMPLE_DOCUMENTS]) or {""}, key=languages.count)
        return [self._read(each, language or usual) for each, language in zip(self._documents, languages, strict=True)]

    async def read_bytes(self, name: str, data: bytes) -> list[ReadDocument]:
        """Always raises FileUnreadable: a set has no attachments."""
        raise FileUnreadable("A judged set reads its own corpus only.")

    async def close(self) -> None:
        """Nothing to end."""

    def _read(self, document: JudgedDocument, language: str) -> ReadDocument:
        text = document.text.strip() or document.title
        drafts = split_text(text, markdown=False, max_characters=self._passage_characters)
        return ReadDocument(document.id, document.title, language, tuple(drafts))

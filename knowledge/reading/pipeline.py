"""From a file's bytes to documents cut into drafts: load, split, tell the language."""

from collections.abc import Iterator, Sequence

from knowledge.chunking import split
from knowledge.languages import detect
from knowledge.loaders import load
from knowledge.loaders.types import Extracted, Limits, Raw
from knowledge.reader import Draft
from knowledge.reading.frames import DRAFTS_CHARACTERS, DocumentBegins, DraftFrame, Drafts

_LANGUAGE_ROWS = 50


def frames(raw: Raw, limits: Limits, passage_characters: int) -> Iterator[DocumentBegins | Drafts]:
    """The documents of a file and their drafts, as frames. Raises Unreadable."""
    documents = load(raw, limits)
    fallback = _language_of_rows(documents) if len(documents) > 1 else ""
    for document in documents:
        language = "" if document.problem else detect(document.text) or fallback
        yield DocumentBegins(row=document.row, title=document.title, language=language, problem=document.problem)
        yield from _drafts(document, passage_characters)


def _language_of_rows(documents: Sequence[Extracted]) -> str:
    """The language of a table as a whole, for rows too short to tell theirs."""
    return detect("\n".join(document.text for document in documents[:_LANGUAGE_ROWS]))


def _drafts(document: Extracted, passage_characters: int) -> Iterator[Drafts]:
    drafts = split(document.text, markdown=document.markdown, max_characters=passage_characters, pages=document.pages)
    batch: list[DraftFrame] = []
    characters = 0
    for draft in drafts:
        batch.append(_framed(draft))
        characters += len(draft.text)
        if characters >= DRAFTS_CHARACTERS:
            yield Drafts(drafts=batch)
            batch, characters = [], 0
    if batch:
        yield Drafts(drafts=batch)


def _framed(draft: Draft) -> DraftFrame:
    place = draft.place
    return DraftFrame(heading=list(place.heading), page=place.page, start=place.start, text=draft.text)

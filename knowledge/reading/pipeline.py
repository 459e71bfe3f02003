"""Reading pipeline: load a file, split its documents into drafts, detect their language."""

from collections.abc import Iterator, Sequence

from knowledge.chunking import split_text
from knowledge.languages import detect_language
from knowledge.loaders import load_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile
from knowledge.reader import PassageDraft
from knowledge.reading.frames import BATCH_CHARACTERS, DocumentStart, DraftBatch, DraftFrame

_LANGUAGE_ROWS = 50


def read_frames(raw: RawFile, limits: LoadLimits, passage_characters: int) -> Iterator[DocumentStart | DraftBatch]:
    """The documents of a file and their drafts, as frames. Raises FileUnreadable."""
    documents = load_documents(raw, limits)
    fallback = _language_of_rows(documents) if len(documents) > 1 else ""
    for document in documents:
        language = "" if document.problem else detect_language(document.text) or fallback
        yield DocumentStart(
            row=document.row,
            title=document.title,
            language=language,
            problem=document.problem,
            unread=document.unread,
        )
        yield from _drafts(document, passage_characters)


def _language_of_rows(documents: Sequence[ExtractedDocument]) -> str:
    """The language of a whole table, for rows that are too short for detection."""
    return detect_language("\n".join(document.text for document in documents[:_LANGUAGE_ROWS]))


def _drafts(document: ExtractedDocument, passage_characters: int) -> Iterator[DraftBatch]:
    drafts = split_text(
        document.text, markdown=document.markdown, max_characters=passage_characters, pages=document.pages
    )
    batch: list[DraftFrame] = []
    characters = 0
    for draft in drafts:
        batch.append(_draft_frame(draft))
        characters += len(draft.text)
        if characters >= BATCH_CHARACTERS:
            yield DraftBatch(drafts=batch)
            batch, characters = [], 0
    if batch:
        yield DraftBatch(drafts=batch)


def _draft_frame(draft: PassageDraft) -> DraftFrame:
    place = draft.place
    return DraftFrame(heading=list(place.heading), page=place.page, start=place.start, end=place.end, text=draft.text)

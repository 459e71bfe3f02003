"""Plain text loader."""

from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document: the decoded text, titled by the file's name."""
    text = normalise_text(decode_text(raw.data))
    check_text_size(limits, len(text))
    return [ExtractedDocument(text=text, title=document_title("", raw.name))]

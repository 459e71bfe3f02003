"""Text extraction from files, one loader per format."""

from knowledge.loaders.formats import READABLE_SUFFIXES, find_loader
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile
from knowledge.reader import FileUnreadable

__all__ = ["READABLE_SUFFIXES", "load_documents"]


def load_documents(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """The documents of a file: one, or one per row of a table or message of a mailbox. Unknown kinds are read as text.

    Raises FileUnreadable.
    """
    if not raw.data.strip():
        raise FileUnreadable("The file is empty." if not raw.data else "The file is blank: nothing but white space.")
    documents = find_loader(raw)(raw, limits)
    if not any(document.text.strip() or document.problem for document in documents):
        raise FileUnreadable("The file holds no text.")
    return documents

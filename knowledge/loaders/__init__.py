"""Text extraction from files, one loader per format."""

from pathlib import PurePosixPath

from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile
from knowledge.reader import FileUnreadable

MARKDOWN = frozenset({".md", ".markdown"})
HTML = frozenset({".html", ".htm", ".xhtml"})
PDF = frozenset({".pdf"})
CSV = frozenset({".csv", ".tsv"})
JSONL = frozenset({".jsonl", ".ndjson"})
TEXT = frozenset(
    [
        ".txt",
        ".text",
        ".log",
        ".rst",
        ".adoc",
        ".org",
        ".ini",
        ".cfg",
        ".conf",
        ".toml",
        ".yaml",
        ".yml",
        ".srt",
        ".vtt",
    ]
)
READABLE_SUFFIXES = MARKDOWN | HTML | PDF | CSV | JSONL | TEXT
"""File types that are read unless a collection lists its own."""


def load_documents(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """The documents of a file: one, or one per row of a CSV or JSONL file. Unknown suffixes are read as text.

    Raises FileUnreadable.
    """
    if not raw.data.strip():
        raise FileUnreadable("The file is empty." if not raw.data else "The file is blank: nothing but white space.")
    documents = _load_by_suffix(raw, limits)
    if not any(document.text.strip() or document.problem for document in documents):
        raise FileUnreadable("The file holds no text.")
    return documents


def _load_by_suffix(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    # Loaders are imported on first use: the parent process needs the suffixes, not the parsers.
    suffix = PurePosixPath(raw.name).suffix.lower()
    if suffix in PDF or raw.data.startswith(b"%PDF-"):
        from knowledge.loaders.pdf import load_pdf as loader
    elif suffix in MARKDOWN:
        from knowledge.loaders.markdown import load_markdown as loader
    elif suffix in HTML:
        from knowledge.loaders.html_page import load_html as loader
    elif suffix in CSV:
        from knowledge.loaders.csv_rows import load_csv as loader
    elif suffix in JSONL:
        from knowledge.loaders.jsonl_rows import load_jsonl as loader
    else:
        from knowledge.loaders.text import load_text as loader
    return loader(raw, limits)

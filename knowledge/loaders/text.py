"""Plain text loader."""

from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.loaders.log_tail import is_log, tail_start
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document: the decoded text, titled by the file's name. Of a log that is too long, only the end is read."""
    text = normalise_text(decode_text(raw.data))
    unread = ""
    if raw.skipped_bytes:
        read = len(raw.data) / 1e6
        whole = read + raw.skipped_bytes / 1e6
        unread = f"Only the last {read:,.1f} of its {whole:,.1f} MB were read: file_size_limit_mb."
        text = _from_next_line(text)
    if is_log(raw.name) and (start := tail_start(len(text), limits.text_characters)):
        unread = f"Only its last {len(text) - start:,} characters were read: text_limit_characters."
        text = _from_next_line(text[start:])
    check_text_size(limits, len(text))
    return [ExtractedDocument(text=text, title=document_title("", raw.name), unread=unread)]


def _from_next_line(text: str) -> str:
    """The text without the line that it begins in the middle of."""
    return text.partition("\n")[2] or text

"""Mail loader: single messages (.eml) and mailboxes (mbox), with the text of their attachments."""

import re
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes
from email.errors import MessageError
from email.message import EmailMessage, Message, MIMEPart
from email.policy import default
from pathlib import PurePosixPath

from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.loaders.formats import READABLE_SUFFIXES, find_loader
from knowledge.loaders.html_page import fragment_markdown
from knowledge.loaders.rows import check_row_count
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title
from knowledge.reader import FileUnreadable

_SEPARATOR = re.compile(rb"^From [^\n]*\d{4}[^\n]*\n", re.MULTILINE)
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_HEADERS = ("From", "To", "Cc", "Date")
_HEADER_CHARACTERS = 1000
_MOST_ATTACHMENTS = 50
_DEEPEST = 3
"""Mail forwarded in mail forwarded in mail."""


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document per message; those of a mailbox count as rows. Raises FileUnreadable."""
    if not raw.data.startswith(b"From "):
        return [_document(_parsed(raw.data), raw.name, limits, None)]
    documents: list[ExtractedDocument] = []
    for number, data in enumerate(_messages(raw.data), start=1):
        check_row_count(number, limits)
        documents.append(_mailbox_document(data, raw.name, limits, number))
        check_text_size(limits, sum(len(document.text) for document in documents))
    return documents


def _messages(data: bytes) -> Iterator[bytes]:
    starts = list(_SEPARATOR.finditer(data))
    if not starts:
        raise FileUnreadable("The mailbox has no messages: no line `From …` with a date begins one.")
    ends = [*(match.start() for match in starts[1:]), len(data)]
    for match, end in zip(starts, ends, strict=True):
        yield _QUOTED_FROM.sub(rb"\1", data[match.end() : end])


def _mailbox_document(data: bytes, name: str, limits: LoadLimits, number: int) -> ExtractedDocument:
    try:
        return _document(_parsed(data), name, limits, number)
    except FileUnreadable as error:
        title = f"{document_title('', name)}, {number}"
        return ExtractedDocument(text="", title=title, row=number, problem=f"Message {number}: {error.reason}")


def _parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data.lstrip(), _class=EmailMessage, policy=default)
    if not any(message.get_all(name) for name in (*_HEADERS, "Subject", "Received")):
        raise FileUnreadable("This is not a mail: it has no sender, no date and no subject.")
    return message


def _document(
    message: EmailMessage, name: str, limits: LoadLimits, row: int | None, depth: int = 0
) -> ExtractedDocument:
    subject = _header(message, "Subject")
    head = "\n".join(f"{field}: {value}" for field in _HEADERS if (value := _header(message, field)))
    parts = [f"# {subject}" if subject else "", head, _body(message), *_attachments(message, limits, depth)]
    text = normalise_text("\n\n".join(part for part in parts if part.strip()))
    check_text_size(limits, len(text))
    return ExtractedDocument(text=text, title=document_title(subject, name), markdown=True, row=row)


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = str(message.get(name, ""))
    except (ValueError, LookupError, AttributeError, TypeError, MessageError):  # a header that the parser fails on
        return ""
    return " ".join(normalise_text(value).split())[:_HEADER_CHARACTERS]


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    text = _decoded(part)
    return fragment_markdown(text) if part.get_content_subtype() == "html" else text


def _decoded(part: MIMEPart) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes) or not data:
        return ""
    with suppress(FileUnreadable):
        return decode_text(data, part.get_content_charset() or "")
    return ""


def _attachments(message: EmailMessage, limits: LoadLimits, depth: int) -> Iterator[str]:
    """A heading for each attachment, and its text where its kind is read."""
    for part, _ in zip(message.iter_attachments(), range(_MOST_ATTACHMENTS), strict=False):
        name = normalise_text(part.get_filename() or "")
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload(0) if part.is_multipart() else None
            if isinstance(inner, EmailMessage) and depth < _DEEPEST:
                yield _document(inner, name or "message.eml", limits, None, depth + 1).text
        elif name:
            yield f"## {name}\n\n{_attachment_text(part, name, limits)}".strip()


def _attachment_text(part: Message, name: str, limits: LoadLimits) -> str:
    data = part.get_payload(decode=True)
    suffix = PurePosixPath(name).suffix.lower()
    if not isinstance(data, bytes) or suffix not in READABLE_SUFFIXES or suffix in (".eml", ".mbox"):
        return ""
    try:
        raw = RawFile(name, data)
        return "\n\n".join(document.text for document in find_loader(raw)(raw, limits))
    except FileUnreadable as error:
        return f"({error.reason})"

"""Office loader: text documents, spreadsheets, presentations, books, notebooks and Outlook mail as Markdown."""

import asyncio
import re
import zipfile
from functools import cache
from io import BytesIO

import xberg

from knowledge.loaders.decoding import normalise_text
from knowledge.loaders.formats import OFFICE, office_kind
from knowledge.loaders.titles import first_heading
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title
from knowledge.reader import FileUnreadable

_UNPACKED_LIMIT_BYTES = 500_000_000
_RATIO_LIMIT = 200
"""Real documents are packed up to 60 : 1; XML of nothing but blanks, which a bomb is, 1,000 : 1."""
_RATIO_FROM_BYTES = 20_000_000
_ESCAPED = re.compile(r"\\([<>])")
_TITLE_FIELD = re.compile(r"\A\*\*(?:title|TITLE|Subject)\*\*: (.+)")
_NOTE = re.compile(r"^> \*\*[a-z]+:: (.*)\*\*\n> \n> ([a-z]+):: \1$", re.MULTILINE)
"""xberg writes a directive of reStructuredText twice."""
_PAGE_TITLES = frozenset({"powerpoint presentation", "untitled", "unbenannt", "sans titre", "word document", "slide 1"})


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document as Markdown, with a heading for each sheet and slide. Raises FileUnreadable."""
    kind = office_kind(raw)
    _check_unpacked_size(raw.data)
    found = _extract(raw.data, kind, limits)
    text = _tidied(found.content)
    check_text_size(limits, len(text))
    # The first heading of a workbook is a sheet's name, which says less than the file's.
    title = _title(str(found.metadata.title or ""), "" if kind in ("xlsx", "xls", "ods") else text)
    return [ExtractedDocument(text=text, title=document_title(title, raw.name), markdown=True)]


def warm_up() -> None:
    """Start the parser's threads, before limits on memory apply."""
    _extract(b"{\\rtf1 warm}", "rtf", LoadLimits())


def _extract(data: bytes, kind: str, limits: LoadLimits) -> xberg.ExtractedDocument:
    source = xberg.ExtractInput(
        kind=xberg.ExtractInputKind.BYTES, bytes=data, mime_type=OFFICE[kind], filename=f"document.{kind}"
    )
    try:
        found = _loop().run_until_complete(xberg.extract(source, _settings(limits)))
    except (xberg.XbergError, RuntimeError, ValueError) as error:  # its own errors, and those of its native part
        raise FileUnreadable(_reason(kind, str(error))) from error
    if found.errors:
        raise FileUnreadable(_reason(kind, found.errors[0].message))
    if not found.results:
        raise FileUnreadable("The file holds no text.")
    return found.results[0]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    # One for the whole process: a new one would open sockets, which the reading process may not.
    return asyncio.new_event_loop()


@cache
def _settings(limits: LoadLimits) -> xberg.ExtractionConfig:
    """Settings without text recognition, caches and downloads, within our own limits."""
    return xberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        disable_ocr=True,
        layout=None,
        output_format=xberg.OutputFormat("markdown"),
        escape_markdown=False,
        concurrency=xberg.ConcurrencyConfig(max_threads=1),
        security_limits=xberg.SecurityLimits(
            max_archive_size=_UNPACKED_LIMIT_BYTES,
            max_compression_ratio=_RATIO_LIMIT,
            max_content_size=8 * limits.text_characters,
        ),
    )


def _check_unpacked_size(data: bytes) -> None:
    """Refuse a packed document that claims to be far larger unpacked. Raises FileUnreadable."""
    if not data.startswith(b"PK"):
        return
    with zipfile.ZipFile(BytesIO(data)) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > _UNPACKED_LIMIT_BYTES or (unpacked > _RATIO_FROM_BYTES and unpacked > _RATIO_LIMIT * len(data)):
        raise FileUnreadable(
            f"The file would be {unpacked / 1e6:,.0f} MB unpacked, {unpacked // max(1, len(data)):,} times its size: "
            "it is not read."
        )


def _reason(kind: str, message: str) -> str:
    """Why a file is not read; the library's own words could quote the document."""
    words = message.casefold()
    if "password" in words or "encrypt" in words:
        return "The document is encrypted: save a copy without a password."
    if "invalid" not in words and any(word in words for word in ("limit exceeded", "bomb", "too large")):
        return f"The .{kind} file holds more than the limits allow: split it."
    return f"The .{kind} file is broken: open it in the program that made it and save it again."


def _tidied(content: str) -> str:
    return _NOTE.sub(r"> **\2:** \1", _ESCAPED.sub(r"\1", normalise_text(content))).strip("\n")


def _title(named: str, text: str) -> str:
    if named.strip() and named.strip().casefold() not in _PAGE_TITLES and not named.startswith("Microsoft "):
        return named
    field = _TITLE_FIELD.match(text)
    return field[1] if field else first_heading(text)

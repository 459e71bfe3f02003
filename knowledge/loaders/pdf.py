"""PDF loader: the text layer, page by page."""

import re
from collections.abc import Iterator

from pypdfium2 import PdfDocument, PdfiumError  # type: ignore[import-untyped]
from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY  # type: ignore[import-untyped]

from knowledge.loaders.decoding import normalise_text
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title
from knowledge.reader import FileUnreadable

_HYPHEN = re.compile("[\ufffe\x02]\\s*")
"""PDFium's mark for a hyphen at the end of a line, inside a word."""
_FEWEST_CHARACTERS = 3


def load_pdf(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document, with blank lines between pages."""
    pdf = _open(raw.data)
    try:
        pages = list(_pages(pdf, limits))
        title = str(pdf.get_metadata_dict().get("Title") or "")
    except PdfiumError as error:
        raise FileUnreadable(f"The PDF is broken: {error}") from error
    finally:
        pdf.close()
    if sum(len(page.strip()) for page in pages) < _FEWEST_CHARACTERS:
        raise FileUnreadable(
            "The PDF has no text, only pictures (a scan): run it through text recognition (OCR) first."
        )
    return [_joined(pages, document_title(normalise_text(title), raw.name))]


def _open(data: bytes) -> PdfDocument:
    try:
        return PdfDocument(data)
    except PdfiumError as error:
        if error.err_code in (FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY):
            raise FileUnreadable("The PDF is encrypted: save a copy without a password.") from error
        raise FileUnreadable("The PDF is broken: export it again.") from error


def _pages(pdf: PdfDocument, limits: LoadLimits) -> Iterator[str]:
    total = 0
    for number in range(len(pdf)):
        page = pdf.get_page(number)
        content = page.get_textpage()
        text = normalise_text(_HYPHEN.sub("", content.get_text_bounded()))
        content.close()
        page.close()
        total += len(text)
        check_text_size(limits, total)
        yield text


def _joined(pages: list[str], title: str) -> ExtractedDocument:
    starts, offset = [], 0
    for page in pages:
        starts.append(offset)
        offset += len(page) + 2
    return ExtractedDocument(text="\n\n".join(pages), title=title, pages=tuple(starts))

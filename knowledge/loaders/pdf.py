"""PDF loader: text in reading order as Markdown, page by page, with tables and form values."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from liteparse import LiteParse, ParseError
from liteparse.types import FormField, ParsedPage
from pypdfium2 import PdfDocument, PdfiumError, PdfPage  # type: ignore[import-untyped]
from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY  # type: ignore[import-untyped]

from knowledge.loaders.decoding import normalise_text
from knowledge.loaders.pdf_layout import page_markdown
from knowledge.loaders.picture import can_recognise, recognise_text
from knowledge.loaders.titles import first_heading
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title
from knowledge.reader import FileUnreadable

_HYPHEN = re.compile("[\ufffe\x02]\\s*")
"""PDFium's mark for a hyphen at the end of a line, inside a word."""
_FEWEST_CHARACTERS = 3
_OCR_SCALE = 2.5
"""Pixels a point: 180 an inch, which are enough for print of 8 points."""
_OCR_SIDE = 2600
"""Most pixels of a page's longer side."""
_LETTERS_LOST = 0.05
"""Letters of PDFium's that the layout may lack; with more lacking, its text is not believed."""
_RUNNING_SHARE = 0.6
_RUNNING_PAGES = 3
_DIGITS = re.compile("[0-9]+")
_NO_TITLE = re.compile(
    r"\A(?:microsoft (?:word|excel|powerpoint) - .*|(?:untitled|unbenannt|sans titre|document|dokument|slide|folie)"
    r"[ _-]*[0-9]*|powerpoint[- ]pr.*|.*\.(?:indd|docx?|xlsx?|pptx?|odt|qxd|pdf|tex|dvi|html?))\Z",
    re.IGNORECASE,
)
"""What programs put into the metadata as a title: the template's or the file's name."""
_SCAN = "run it through text recognition (OCR) first, or install Hearth's extra `ocr`"


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document, with blank lines between pages; pages that are only pictures are named in `unread`."""
    pdf = _open(raw.data)
    try:
        parsed = _parsed(raw.data)
        plain = list(_plain_pages(pdf, limits))
        pages = [_chosen(parsed.get(number), text) for number, text in enumerate(plain, start=1)]
        pages, scans = _recognised(pdf, pages, limits)
        title = str(pdf.get_metadata_dict().get("Title") or "")
    except PdfiumError as error:
        raise FileUnreadable(f"The PDF is broken: {error}") from error
    finally:
        pdf.close()
    if sum(len(page.strip()) for page in pages) < _FEWEST_CHARACTERS:
        raise FileUnreadable(f"The PDF has no text, only pictures (a scan): {_SCAN}.")
    pages = _without_running_lines(pages)
    check_text_size(limits, sum(len(page) for page in pages))
    return [_joined(pages, raw.name, title, scans)]


def _open(data: bytes) -> PdfDocument:
    try:
        pdf = PdfDocument(data)
    except PdfiumError as error:
        if error.err_code in (FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY):
            raise FileUnreadable("The PDF is encrypted: save a copy without a password.") from error
        raise FileUnreadable("The PDF is broken: export it again.") from error
    if not len(pdf):
        pdf.close()
        raise FileUnreadable("The PDF is broken: it has no pages. Export it again.")
    return pdf


@cache
def _parser() -> LiteParse:
    """The layout parser, without text recognition, which would be downloaded."""
    return LiteParse(
        ocr_enabled=False,
        output_format="markdown",
        quiet=True,
        num_workers=1,
        image_mode="off",
        extract_links=False,
        extract_blocks=True,
        extract_form_fields=True,
        keep_headers_footers=True,
        continue_on_page_error=True,
    )


def _parsed(data: bytes) -> dict[int, ParsedPage]:
    """The laid-out pages by number; without those that the parser fails on, which PDFium then reads."""
    try:
        return {page.page_num: page for page in _parser().parse(data).pages}
    except ParseError:
        return {}


def _plain_pages(pdf: PdfDocument, limits: LoadLimits) -> Iterator[str]:
    """PDFium's text of each page: the right letters, in the order of the file."""
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


def _chosen(page: ParsedPage | None, plain: str) -> str:
    """The page's layout where it has PDFium's letters, and PDFium's text where not; with the values of its form."""
    if page is None:
        return plain
    layout = normalise_text(page_markdown(page))
    text = layout if _letters_lost(plain, layout) <= _LETTERS_LOST else plain
    values = "\n".join(line for field in page.form_fields or () if (line := _field_line(field, text)))
    return f"{text}\n\n{values}" if values else text


def _letters_lost(plain: str, layout: str) -> float:
    wanted = Counter(filter(str.isalnum, plain))
    lost = wanted - Counter(filter(str.isalnum, layout))
    return lost.total() / max(1, wanted.total())


def _field_line(field: FormField, text: str) -> str:
    """A field's name and value, unless the value is on the page already; empty for an empty field."""
    name = field.alternate_name or field.name or ""
    if field.type in ("checkbox", "radiobutton"):
        return f"[{'x' if field.checked else ' '}] {name}" if name else ""
    value = normalise_text(" ".join(field.selected_options) or field.value or "").strip()
    return f"{name}: {value}" if value and value not in text else ""


def _recognised(pdf: PdfDocument, pages: Sequence[str], limits: LoadLimits) -> tuple[list[str], list[int]]:
    """The pages with the text of scans, and the numbers of those whose pictures were not read."""
    texts = list(pages)
    scans: list[int] = []
    left = limits.recognised_pages if can_recognise() else 0
    for number, text in enumerate(pages):
        if len(text.strip()) >= _FEWEST_CHARACTERS:
            continue
        page = pdf.get_page(number)
        if _has_content(page):
            if left:
                texts[number] = recognise_text(
                    page.render(scale=min(_OCR_SCALE, _OCR_SIDE / max(1, *page.get_size()))).to_pil()
                )
                left -= 1
            if not texts[number].strip():
                scans.append(number + 1)
        page.close()
    return texts, scans


def _has_content(page: PdfPage) -> bool:
    return next(iter(page.get_objects(max_depth=1)), None) is not None


def _without_running_lines(pages: Sequence[str]) -> list[str]:
    """The pages without the first and last lines that most of them share, whatever the numbers in them."""
    if len(pages) < _RUNNING_PAGES:
        return list(pages)
    lines = [page.strip().split("\n") for page in pages]
    shown = Counter(line for ends in lines for line in {_masked(ends[0]), _masked(ends[-1])})
    fewest = max(_RUNNING_PAGES, _RUNNING_SHARE * len(pages))
    running = {line for line, count in shown.items() if line and count >= fewest}
    return ["\n".join(_trimmed(ends, running)) for ends in lines]


def _trimmed(lines: list[str], running: set[str]) -> list[str]:
    if len(lines) > 2 and _masked(lines[0]) in running:
        lines = lines[1:]
    return lines[:-1] if len(lines) > 2 and _masked(lines[-1]) in running else lines


def _masked(line: str) -> str:
    return _DIGITS.sub("0", line.strip())


def _joined(pages: Sequence[str], name: str, named: str, scans: Sequence[int]) -> ExtractedDocument:
    starts, offset = [], 0
    for page in pages:
        starts.append(offset)
        offset += len(page) + 2
    text = "\n\n".join(pages)
    title = normalise_text(named).strip()
    title = first_heading(text) if not title or _NO_TITLE.match(title) else title
    return ExtractedDocument(
        text=text,
        title=document_title(title, name),
        markdown=True,
        pages=tuple(starts),
        unread=_scan_sentence(scans),
    )


def _scan_sentence(pages: Sequence[int]) -> str:
    if not pages:
        return ""
    ranges: list[list[int]] = []
    for page in pages:
        if ranges and ranges[-1][1] == page - 1:
            ranges[-1][1] = page
        else:
            ranges.append([page, page])
    named = ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in ranges[:20])
    more = ", …" if len(ranges) > 20 else ""
    subject = f"Page {named} is a picture" if len(pages) == 1 else f"Pages {named}{more} are pictures"
    return f"{subject} without text (a scan): {_SCAN}."

"""HTML loader: the visible content as Markdown."""

import re
import warnings

from bs4 import BeautifulSoup, Tag, XMLParsedAsHTMLWarning
from bs4.element import PreformattedString
from bs4.exceptions import ParserRejectedMarkup
from markdownify import ATX, MarkdownConverter

from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.loaders.html_tables import resolve_spans
from knowledge.loaders.titles import first_heading
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title
from knowledge.reader import FileUnreadable

_DROPPED = frozenset(
    {"script", "style", "noscript", "template", "nav", "svg", "math", "iframe", "object", "embed", "canvas"}
    | {"audio", "video", "button", "select", "textarea"}
)
_IMPLIED_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset({"li"}), frozenset({"ul", "ol", "menu"})),
    "td": (frozenset({"td", "th"}), frozenset({"tr", "table"})),
    "th": (frozenset({"td", "th"}), frozenset({"tr", "table"})),
    "tr": (frozenset({"tr"}), frozenset({"table"})),
    "dt": (frozenset({"dt", "dd"}), frozenset({"dl"})),
    "dd": (frozenset({"dt", "dd"}), frozenset({"dl"})),
}
"""For each tag whose end tag HTML allows to omit: the open tags it ends, and the tags at which to stop looking."""
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:-]{2,40})", re.IGNORECASE)
_CHARSET_WITHIN_BYTES = 4096
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_MAX_DEPTH = 100
"""markdownify calls itself three times for each level, and Python allows 1,000 calls."""
_MAX_DEPTH_TO_CLOSE = 6000
"""Closing tags takes quadratic time in the depth: three seconds at 6,000."""
_LONGEST_LINK = 200
_CONVERTER = MarkdownConverter(
    heading_style=ATX, bullets="-", escape_underscores=False, escape_asterisks=False, table_infer_header=True
)
_KEPT_TEXTS = frozenset({"href", "title"})
_KEPT_NUMBERS = frozenset({"colspan", "rowspan", "start"})
_NUMBER = re.compile("[0-9]{1,3}")
_BOX_GAP = re.compile(r"(?<=\[[x ]\]) {2,}")
_BLANK_LINES = re.compile(r"\n{3,}")
_EXPORTS_FRAME = frozenset({"breadcrumb-section", "breadcrumbs", "footer", "mw-navigation", "siteSub", "toc"})
"""Identifiers of what surrounds the page in exports of wikis."""
_CHECKED_CLASSES = frozenset({"checkbox-on", "checked", "is-checked", "task-done"})
_UNCHECKED_CLASSES = frozenset({"checkbox-off", "unchecked"})
_WEB_PAGE_LINKS = 40
"""A page with fewer links has no menus worth looking for."""
_KEPT_SHARE = 0.25
"""Less of a page than this is not its content, but a wrong guess."""


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document as Markdown, without scripts, menus and hidden parts; plain text when nested too deeply."""
    source = decode_text(raw.data, _declared_charset(raw.data))
    check_text_size(limits, len(source))
    soup = _parse(source)
    title = _take_title(soup)
    text, is_markdown = _content(soup)
    title = title if title.strip() or not is_markdown else first_heading(text)
    return [ExtractedDocument(text=text, title=document_title(title, raw.name), markdown=is_markdown)]


def fragment_markdown(source: str) -> str:
    """A piece of HTML, such as a table in a Markdown text, as Markdown."""
    return _content(_parse(source))[0].strip("\n")


def _content(soup: BeautifulSoup) -> tuple[str, bool]:
    """The visible content as Markdown, or as plain text (False) when it is nested too deeply."""
    _mark_check_boxes(soup)
    links = len(soup.find_all("a", limit=_WEB_PAGE_LINKS))
    _prune(soup)
    deep = _deeper_than(_MAX_DEPTH_TO_CLOSE, soup)
    if not deep:
        _close_unclosed_tags(soup)
        deep = _deeper_than(_MAX_DEPTH, soup)
    if deep:
        return _tidied(soup.get_text("\n")), False
    resolve_spans(soup)
    text = _tidied(_CONVERTER.convert_soup(soup))
    article = _article(str(soup)) if links == _WEB_PAGE_LINKS else ""
    return (article if len(article) >= _KEPT_SHARE * len(text) else text), True


def _tidied(text: str) -> str:
    return _BOX_GAP.sub(" ", _BLANK_LINES.sub("\n\n", normalise_text(text))).strip("\n")


def _article(source: str) -> str:
    """The article of a web page as Markdown, without menus, lists of links and the like; empty when there is none."""
    from trafilatura import extract

    found = extract(source, output_format="markdown", include_comments=False, include_tables=True, favor_recall=True)
    return _tidied(found or "")


def _mark_check_boxes(soup: BeautifulSoup) -> None:
    """Boxes as `[x]` and `[ ]`: those of forms, and the classes of common exports."""
    for box in soup.find_all("input", type="checkbox"):
        box.replace_with("[x]" if box.has_attr("checked") else "[ ]")
    for tag in soup.find_all(class_=list(_CHECKED_CLASSES | _UNCHECKED_CLASSES)):
        classes = set(tag.get_attribute_list("class"))
        mark = "[x] " if classes & _CHECKED_CLASSES else "[ ] "
        if tag.name == "li":
            tag.insert(0, mark)
        elif not tag.get_text(strip=True):
            tag.replace_with(mark)


def _declared_charset(data: bytes) -> str:
    match = _CHARSET.search(data[:_CHARSET_WITHIN_BYTES])
    return match[1].decode("ascii") if match else ""


def _parse(source: str) -> BeautifulSoup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        try:
            return BeautifulSoup(source, "html.parser")
        except ParserRejectedMarkup as error:
            raise FileUnreadable("The HTML is too broken to be parsed.") from error


def _take_title(soup: BeautifulSoup) -> str:
    """The page's title, taken out; pictures in it (SVG) have titles of their own."""
    title = next((tag for tag in soup.find_all("title") if tag.find_parent("svg") is None), None)
    return title.extract().get_text() if title else ""


def _prune(soup: BeautifulSoup) -> None:
    for tag in soup.find_all(_unwanted):
        tag.extract()
    for markup in soup.find_all(string=lambda text: isinstance(text, PreformattedString)):
        markup.extract()
    for image in soup.find_all("img"):
        image.replace_with(str(image.get("alt") or ""))
    for link in soup.find_all("a"):
        target = str(link.get("href") or "")
        if len(target) > _LONGEST_LINK or not target.startswith(("http://", "https://", "mailto:")):
            link.unwrap()
    for tag in soup.find_all(_has_attributes):
        tag.attrs = {name: value for name, value in tag.attrs.items() if _is_kept(name, str(value))}


def _has_attributes(tag: Tag) -> bool:
    return bool(tag.attrs)


def _is_kept(name: str, value: str) -> bool:
    """Whether an attribute means something in Markdown; the converter takes what looks like a number for one."""
    return name in _KEPT_TEXTS or (name in _KEPT_NUMBERS and _NUMBER.fullmatch(value) is not None)


def _close_unclosed_tags(soup: BeautifulSoup) -> None:
    """Move a cell, row or list item after its predecessor: without end tags the parser nests it inside."""
    for tag in soup.find_all(list(_IMPLIED_ENDS)):
        if previous := _still_open(tag):
            previous.insert_after(tag.extract())


def _still_open(tag: Tag) -> Tag | None:
    ended, within_tags = _IMPLIED_ENDS[tag.name]
    for parent in tag.parents:
        if parent.name in ended:
            return parent
        if parent.name in within_tags:
            return None
    return None


def _unwanted(tag: Tag) -> bool:
    hidden = tag.has_attr("hidden") or tag.get("aria-hidden") == "true"
    framed = tag.get("id") in _EXPORTS_FRAME
    return tag.name in _DROPPED or hidden or framed or bool(_INVISIBLE.search(str(tag.get("style") or "")))


def _deeper_than(limit: int, soup: BeautifulSoup) -> bool:
    open_tags: list[tuple[Tag, int]] = [(soup, 0)]
    while open_tags:
        tag, depth = open_tags.pop()
        if depth > limit:
            return True
        open_tags.extend((child, depth + 1) for child in tag.children if isinstance(child, Tag))
    return False

"""Rendering of a PDF page's layout blocks as Markdown, with the lines of its paragraphs."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from liteparse.types import AnnotationRect, LayoutBlock, LayoutCell, ParsedPage, TextItem

from knowledge.loaders.tables import markdown_table

_NOT_LETTERS = re.compile(r"[\s\u00ad\u2010-]+")
_LINE_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u2010\u00ad]\n(?=[^\W\d_A-ZÀ-Þ])")
_MOST_ITEMS = 500


def page_markdown(page: ParsedPage) -> str:
    """The page in reading order. Paragraphs keep their lines, and words that were cut at their ends are whole."""
    blocks = (_block_markdown(block, page.text_items) for block in page.blocks or ())
    return "\n\n".join(block for block in _with_lists_joined(blocks) if block.strip())


def _with_lists_joined(blocks: Iterator[str]) -> Iterator[str]:
    items: list[str] = []
    for block in blocks:
        if block.lstrip().startswith("- "):
            items.append(block)
            continue
        yield "\n".join(items)
        items = []
        yield block
    yield "\n".join(items)


def _block_markdown(block: LayoutBlock, items: Sequence[TextItem]) -> str:
    text = (block.text or "").strip()
    if block.kind == "heading":
        return f"{'#' * min(6, block.level or 1)} {' '.join(text.split())}"
    if block.kind == "list_item":
        marker = (block.marker or "").strip()
        return f"- {marker} {text}" if block.ordered else f"- {text}"
    if block.kind == "table":
        return markdown_table([_cells(row) for row in (block.header or [], *(block.rows or [])) if row])
    if block.kind in ("code", "grid_fallback"):
        return _LINE_HYPHEN.sub("", "\n".join(" ".join(line.split()) for line in block.lines or ()))
    return _with_lines(text, block.bbox, items) if text else ""


def _cells(row: Sequence[LayoutCell]) -> list[str]:
    return [cell.text for cell in row]


def _with_lines(text: str, box: AnnotationRect | None, items: Sequence[TextItem]) -> str:
    """A paragraph's text with its line ends, where the items in its box make up just its text; else as it is."""
    inside = [item for item in items if box and _is_inside(item, box)]
    ordered = _in_order(_letters(text), inside) if len(inside) <= _MOST_ITEMS else []
    if not ordered:
        return text
    found = ordered[0].text.strip()
    for before, item in pairwise(ordered):
        same_line = abs(item.y - before.y) < item.height / 2 and item.x > before.x
        found += (" " if same_line else "\n") + item.text.strip()
    return _LINE_HYPHEN.sub("", found)


def _in_order(letters: str, items: Sequence[TextItem]) -> list[TextItem]:
    """The items in the order in which they make up the letters of a paragraph; empty when they do not."""
    waiting = sorted(((_letters(item.text), item) for item in items), key=lambda pair: (pair[1].y, pair[1].x))
    ordered: list[TextItem] = []
    position = 0
    while position < len(letters):
        found = next((pair for pair in waiting if pair[0] and letters.startswith(pair[0], position)), None)
        if found is None:
            return []
        waiting.remove(found)
        ordered.append(found[1])
        position += len(found[0])
    return ordered


def _is_inside(item: TextItem, box: AnnotationRect) -> bool:
    x, y = item.x + item.width / 2, item.y + item.height / 2
    return box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height


def _letters(text: str) -> str:
    return _NOT_LETTERS.sub("", text.replace("*", ""))

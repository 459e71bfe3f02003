"""AsciiDoc loader: sections, lists, tables and links as Markdown."""

import re
from collections.abc import Iterator

from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.loaders.tables import markdown_table
from knowledge.loaders.titles import first_heading
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title

_HEADING = re.compile(r"(={1,6})[ \t]+(.+)")
_LIST_ITEM = re.compile(r"[ \t]*([*.-]{1,5})[ \t]+(.+)")
_CHECK_BOX = re.compile(r"\[([ *xX])\] ")
_ATTRIBUTE = re.compile(r":([A-Za-z][\w-]*):[ \t]+(.+)")
_TOLD_ATTRIBUTES = frozenset({"author", "email", "revdate", "revnumber", "description", "keywords", "version"})
_BLOCK_TITLE = re.compile(r"\.([^\s.].*)")
_DROPPED = re.compile(r"//(?!/)|\[[^\]]*\]$|(?:include|ifdef|ifndef|endif|ifeval|toc)::|:!?[\w-]+!?:|\+$|'''$|<<<$")
_TABLE = re.compile(r"[|,:!]===+")
_CELL = re.compile(r"(?:^|(?<=\s))(?:(\d{1,3})[+*])?(?:\.\d{1,3}\+)?[<^>]?(?:\.[<^>])?[a-z]?(?<!\\)\|", re.MULTILINE)
_FENCES = {"----": "```", "....": "```"}
_HIDDEN = "////"
_FRAMES = frozenset({"====", "****", "____", "--"})
_INLINE = (
    (re.compile(r"<<([^,>]+),\s*([^>]+)>>"), r"\2"),
    (re.compile(r"<<([^>]+)>>"), r"\1"),
    (re.compile(r"\b(?:xref|link):([^\[\s]+)\[([^\]]*)\]"), lambda match: match[2] or match[1]),
    (
        re.compile(r"(https?://[^\[\s]+)\[([^\]]*)\]"),
        lambda match: f"[{match[2]}]({match[1]})" if match[2] else match[1],
    ),
    (re.compile(r"image::?[^\[\s]+\[([^\],]*)[^\]]*\]"), r"\1"),
    (re.compile(r"(?:footnote|kbd|btn|menu):[^\[\s]*\[([^\]]*)\]"), r"(\1)"),
)


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document, titled by its first heading."""
    source = normalise_text(decode_text(raw.data))
    check_text_size(limits, len(source))
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(_lines(source.split("\n")))).strip("\n")
    return [ExtractedDocument(text=text, title=document_title(first_heading(text), raw.name), markdown=True)]


def _lines(lines: list[str]) -> Iterator[str]:
    position = 0
    while position < len(lines):
        line = lines[position].rstrip()
        position += 1
        if _TABLE.fullmatch(line) or line in _FENCES or line == _HIDDEN:
            end = next((number for number in range(position, len(lines)) if lines[number].rstrip() == line), len(lines))
            yield from _block(line, lines[position:end])
            position = end + 1
        elif line not in _FRAMES:
            yield from _line(line)


def _block(mark: str, inside: list[str]) -> Iterator[str]:
    """A block between two equal marks: code, a table, or a comment, which is dropped."""
    if mark in _FENCES:
        yield from (_FENCES[mark], *inside, _FENCES[mark])
    elif mark != _HIDDEN:
        yield from ("", markdown_table(_table_rows(inside)), "")


def _table_rows(lines: list[str]) -> list[list[str]]:
    """The rows of a table: as many columns as cells on its first line, whether on one line or on lines of their own."""
    cells: list[str] = []
    width = 0
    for line in lines:
        found = _CELL.split(line)
        if len(found) > 1:
            cells += [_inlined(text.strip()) for text in found[2::2]]
        elif cells and line.strip():
            cells[-1] = f"{cells[-1]} {_inlined(line.strip())}"
        if (cells and not width and not line.strip()) or (not width and len(found) > 3):
            width = len(cells)
    width = width or len(cells) or 1
    return [cells[start : start + width] for start in range(0, len(cells), width)]


def _line(line: str) -> Iterator[str]:
    if match := _HEADING.fullmatch(line):
        yield from ("", f"{'#' * len(match[1])} {_inlined(match[2])}", "")
    elif match := _ATTRIBUTE.fullmatch(line):
        if match[1] in _TOLD_ATTRIBUTES:
            yield f"{match[1]}: {match[2]}"
    elif _DROPPED.match(line):
        return
    elif match := _LIST_ITEM.fullmatch(line):
        depth = "  " * (len(match[1]) - 1)
        text = _CHECK_BOX.sub(lambda box: "[ ] " if box[1] == " " else "[x] ", match[2], count=1)
        yield f"{depth}- {_inlined(text)}"
    elif match := _BLOCK_TITLE.fullmatch(line):
        yield from ("", f"**{match[1]}**", "")
    else:
        yield _inlined(line)


def _inlined(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text

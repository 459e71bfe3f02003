"""Tables of an answer on Discord, which shows none: aligned columns as code, or a list where they are wide."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token
from wcwidth import wcswidth

from adapters.delivery.fence_mending import break_runs

TABLE_WIDTH = 56
"""Characters of code in a line that still fit into a narrow window of the desktop client; a phone has about 40."""

MAX_DELIMITER_CHARACTERS = 500
"""Longest line between a header and its rows; a table with more columns is no table for people."""

GAP = "  "
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
_LINE_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)  # of HTML, the only break that a cell can have
_DELIMITER_ROW = re.compile(r"[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_DELIMITER_LINE = re.compile(rf"^{_DELIMITER_ROW.pattern}$", re.MULTILINE)
_SIGN = re.compile(r"[^\s|\\]")
_QUOTES = re.compile(r"^(?:[ \t]*>)+[ \t]?")


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell: its Markdown, and the same as plain text. `is_right`: its column is aligned to the right."""

    markdown: str
    plain: str
    has_link: bool
    is_right: bool


def plain_tables(text: str) -> str:
    """The text, which has no code fences, with each table as code or as a list."""
    delimiter = _DELIMITER_LINE.search(text) if "|" in text else None
    if delimiter is None or len(delimiter[0]) > MAX_DELIMITER_CHARACTERS:
        return text
    lines = re.split(r"\r\n|\r|\n", text)
    for begin, end, rows in reversed(list(_find_tables("\n".join(lines)))):
        if not _is_whole(lines[begin:end], rows):
            continue
        quotes = _QUOTES.match(lines[begin])
        shown = _as_code(rows) if _fits(rows) else _as_list(rows)
        lines[begin:end] = [(quotes[0] if quotes else "") + line for line in shown]
    return "\n".join(lines)


def hold_back_rows(text: str) -> str:
    """A growing text without the last line of a table at its end, or without the whole table while it has no rows."""
    lines = text.split("\n")
    is_complete = not lines[-1]
    end = len(lines) - is_complete
    begin = end
    while begin and lines[begin - 1].lstrip(" \t>").startswith("|"):
        begin -= 1
    rows = lines[begin:end]
    is_table = len(rows) >= 2 and _DELIMITER_ROW.fullmatch(rows[1]) and (len(rows) > 2 or is_complete)
    if not is_table:
        return _joined(lines[:begin]) if 0 < len(rows) <= 2 else text
    if len(rows) - (not is_complete) <= 2:
        return _joined(lines[:begin])
    return text if is_complete else _joined(lines[: end - 1])


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _find_tables(text: str) -> Iterator[tuple[int, int, list[list[TableCell]]]]:
    """The tables: their first line, the line after them, and their rows, the header first."""
    begin, end = 0, 0
    rows: list[list[TableCell]] = []
    tokens = _PARSER.parse(text)
    for number, token in enumerate(tokens):
        if token.type == "table_open" and token.map:
            (begin, end), rows = token.map, []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append(_cell(tokens[number + 1], "right" in str(token.attrGet("style"))))
        elif token.type == "table_close":
            yield begin, end, rows


def _cell(inline: Token, is_right: bool) -> TableCell:
    children = inline.children or []
    plain = "".join(child.content if child.type in ("text", "code_inline", "image") else " " for child in children
                    if child.nesting == 0)  # fmt: skip
    has_link = any(child.type in ("link_open", "image") for child in children)
    return TableCell(_in_one_line(inline.content), break_runs(_in_one_line(plain)), has_link, is_right)


def _in_one_line(text: str) -> str:
    return " ".join(_LINE_BREAK.sub(" ", text).split())


def _is_whole(lines: Sequence[str], rows: Sequence[Sequence[TableCell]]) -> bool:
    """Whether the cells hold all that their lines say; Markdown drops cells beyond the columns of the header."""
    written = "".join(_LINE_BREAK.sub("", _QUOTES.sub("", line)) for line in (lines[0], *lines[2:]))
    shown = "".join(cell.markdown for row in rows for cell in row)
    return sorted(_SIGN.findall(written)) == sorted(_SIGN.findall(shown))


def _fits(rows: Sequence[Sequence[TableCell]]) -> bool:
    """Whether a table is shown as code, in which links cannot be clicked."""
    is_narrow = sum(_widths(rows)) + len(GAP) * (len(rows[0]) - 1) <= TABLE_WIDTH
    return is_narrow and not any(cell.has_link for row in rows for cell in row)


def _widths(rows: Sequence[Sequence[TableCell]]) -> list[int]:
    return [max(_width(row[column].plain) for row in rows) for column in range(len(rows[0]))]


def _width(text: str) -> int:
    measured = wcswidth(text)
    return measured if measured >= 0 else len(text)  # it has a control character


def _as_code(rows: Sequence[Sequence[TableCell]]) -> list[str]:
    widths = _widths(rows)
    header, *body = [_aligned(row, widths) for row in rows]
    return ["```", header, GAP.join("-" * width for width in widths), *body, "```"]


def _has_words(cell: TableCell) -> bool:
    return bool(cell.markdown)


def _aligned(row: Sequence[TableCell], widths: Sequence[int]) -> str:
    cells = []
    for cell, width in zip(row, widths, strict=True):
        space = " " * (width - _width(cell.plain))
        cells.append(space + cell.plain if cell.is_right else cell.plain + space)
    return GAP.join(cells).rstrip()


def _as_list(rows: Sequence[Sequence[TableCell]]) -> list[str]:
    header, *body = rows
    lines = []
    for row in body:
        marker = "- "
        for name, cell in zip(header, row, strict=True):
            if cell.markdown:
                lines.append(marker + (f"{name.markdown}: " if name.markdown else "") + cell.markdown)
                marker = "  - "
    unused = [cell.markdown for cell, *column in zip(header, *body, strict=True) if not any(map(_has_words, column))]
    return [*(f"- {name}" for name in unused if name), *lines]

"""Header rows of Markdown tables, with the span in which each of them applies."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_RULE = r"[ ]{0,3}\|[ ]*:?-+:?[ ]*(?:\|[ ]*:?-+:?[ ]*)*\|?[ ]*\n"
_TABLE = re.compile(
    rf"^(?P<header>[ ]{{0,3}}\|[^\n]+\n{_RULE})(?P<body>(?:[ ]{{0,3}}\|[^\n]*(?:\n|\Z))+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class TableHeader:
    """A table's header row and the line below it, as one text with its line ends, for the rows `start` to `end`."""

    text: str
    start: int
    end: int


def find_table_headers(text: str) -> list[TableHeader]:
    """The headers of a text's tables, in order."""
    return [TableHeader(match["header"], match.start("body"), match.end("body")) for match in _TABLE.finditer(text)]


def header_at(headers: Sequence[TableHeader], offset: int) -> str:
    """The header of the row at an offset; empty outside of tables, and in their headers."""
    place = bisect_right(headers, offset, key=lambda header: header.start) - 1
    return headers[place].text if place >= 0 and offset < headers[place].end else ""


def longest_header(headers: Sequence[TableHeader], start: int, end: int) -> int:
    """The length of the longest header among the tables between two offsets; 0 without one."""
    return max((len(header.text) for header in headers if header.start < end and header.end > start), default=0)

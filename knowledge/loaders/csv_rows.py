"""CSV loader: each row below the header is a document."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Literal

from knowledge.loaders.decoding import decode_text
from knowledge.loaders.rows import TableRow, check_row_count, row_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size
from knowledge.reader import FileUnreadable

_DELIMITERS = ",;\t|"
_SNIFFED_CHARACTERS = 20_000
_SNIFFED_ROWS = 50
_HEADER_SHARE = 0.8
_SEPARATOR_LINE = re.compile(r"\A\"?sep=(.)\"?[ \t]*(?:\r\n?|\n)", re.IGNORECASE)
"""The first line that Excel writes to name the delimiter."""


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document per row. The delimiter is detected; the first row names the columns, unless it is all numbers.

    What stands above the header, such as a title and a date, is a document of its own.
    A quotation mark that is never closed is read as it stands and reported. Raises FileUnreadable.
    """
    text = decode_text(raw.data)
    check_text_size(limits, len(text))
    csv.field_size_limit(limits.text_characters)
    try:
        return row_documents(list(_rows(text, limits)), raw, limits)
    except csv.Error as error:
        raise FileUnreadable(f"The CSV is broken: {error}.") from error


def detect_delimiter(text: str) -> str:
    """The delimiter that most consistently splits the first rows into the same number of columns, at least two."""
    sample = text[:_SNIFFED_CHARACTERS]
    return max(_DELIMITERS, key=lambda delimiter: _column_agreement(sample, delimiter))


def _column_agreement(sample: str, delimiter: str) -> tuple[float, int]:
    """The fraction of rows with the most common width, and that width; (0, 0) when no row is split."""
    try:
        rows = [row for row, _ in zip(_parsed(sample, delimiter), range(_SNIFFED_ROWS), strict=False)]
    except csv.Error:
        return 0.0, 0
    widths = Counter(len(row) for row in rows if len(row) > 1)
    if not widths:
        return 0.0, 0
    width, count = widths.most_common(1)[0]
    return count / len(rows), width


def _parsed(text: str, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    return (row for row in reader if any(cell.strip() for cell in row))


def _rows(text: str, limits: LoadLimits) -> Iterator[TableRow]:
    named = _SEPARATOR_LINE.match(text)
    body = text[named.end() :] if named else text
    delimiter = named[1] if named else detect_delimiter(text)
    numbered = _cells(body, delimiter, first_line=2 if named else 1)
    first = list(islice(numbered, _SNIFFED_ROWS))
    above = _preamble_rows([cells for cells, _ in first])
    if above:
        yield TableRow(0, {"": "\n".join(" ".join(filter(None, map(str.strip, cells))) for cells, _ in first[:above])})
    columns: list[str] | None = None
    number = 0
    for cells, problem in chain(first[above:], numbered):
        if columns is None:
            is_data = _is_data(cells)
            columns = _columns([""] * len(cells) if is_data else cells)
            if not is_data:
                continue
        number += 1
        check_row_count(number, limits)
        yield TableRow(number, _named(columns, cells))
        if problem:
            yield TableRow(number, {}, problem)


def _preamble_rows(rows: Sequence[Sequence[str]]) -> int:
    """The number of rows above the header, such as a title and a date: they fill no more than a third of the columns.

    The header is the first row that fills nearly all of them.
    """
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    width = max(filled, default=0)
    header = next((number for number, count in enumerate(filled) if count >= _HEADER_SHARE * width), 0)
    return header if width > 2 and all(count <= width / 3 for count in filled[:header]) else 0


def _cells(text: str, delimiter: str, first_line: int) -> Iterator[tuple[list[str], str]]:
    """The cells of each row that is not blank, and a sentence when its quotation marks are wrong.

    Strict parsing ends at a wrong mark. Its line is then read alone, and the next one begins a new row: otherwise an
    unclosed mark would swallow all rows up to the next mark.
    """
    lines = list(io.StringIO(text, newline=""))
    position = 0
    while position < len(lines):
        rest = (lines[number] for number in range(position, len(lines)))
        reader = csv.reader(rest, delimiter=delimiter, skipinitialspace=True, strict=True)
        start = position
        try:
            for cells in reader:
                start = position + reader.line_num
                if any(cell.strip() for cell in cells):
                    yield cells, ""
            return
        except csv.Error as error:
            line = lines[start].rstrip("\r\n")
            unclosed = position + reader.line_num > start + 1 or "end of data" in str(error)
            quoting: Literal[0, 3] = csv.QUOTE_NONE if unclosed else csv.QUOTE_MINIMAL
            (cells,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True, quoting=quoting)
            problem = f"Line {first_line + start} has a quotation mark that is not closed; it was read as it stands."
            yield cells, problem if unclosed else ""
            position = start + 1


def _is_data(cells: Sequence[str]) -> bool:
    return all(cell.strip().replace(".", "", 1).replace("-", "", 1).isdigit() for cell in cells)


def _columns(header: Sequence[str]) -> list[str]:
    """Column names, with numbers for blank and repeated ones."""
    columns: list[str] = []
    for number, cell in enumerate(header, start=1):
        name = " ".join(cell.split()) or f"column {number}"
        columns.append(f"{name} {number}" if name in columns else name)
    return columns


def _named(columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Cells by column; a short row lacks columns, a long one gets numbered columns."""
    extra = (f"column {number}" for number in range(len(columns) + 1, len(cells) + 1))
    return dict(zip([*columns, *extra], cells, strict=False))

"""CSV loader: each row below the header is a document."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence

from knowledge.loaders.decoding import decode_text
from knowledge.loaders.rows import TableRow, check_row_count, row_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size
from knowledge.reader import FileUnreadable

_DELIMITERS = ",;\t|"
_SNIFFED_CHARACTERS = 20_000
_SNIFFED_ROWS = 50


def load_csv(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document per row. The delimiter is detected; the first row names the columns, unless it is all numbers.

    Raises FileUnreadable.
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
    parsed = _parsed(text, detect_delimiter(text))
    first = next(parsed, [])
    columns = _columns(first)
    number = 0
    if _is_data(first):
        columns, number = _columns([""] * len(first)), 1
        yield TableRow(number, dict(zip(columns, first, strict=True)))
    for following, cells in enumerate(parsed, start=number + 1):
        check_row_count(following, limits)
        yield TableRow(following, _named(columns, cells))


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

"""Spans of cells in HTML tables: a cell that reaches over several rows is repeated in each of them."""

from copy import copy

from bs4 import BeautifulSoup, Tag

_MOST_CELLS = 200_000


def resolve_spans(soup: BeautifulSoup) -> None:
    """Repeat the cells of all tables that span rows, so that each row says what belongs to it."""
    added = 0
    for table in soup.find_all("table"):
        if added < _MOST_CELLS and table.find(rowspan=True) and not table.find("table"):
            added += _resolve(table, _MOST_CELLS - added)


def _resolve(table: Tag, most: int) -> int:
    """Fill the rows of one table; the number of cells added."""
    pending: dict[int, tuple[Tag, int]] = {}
    added = 0
    for row in table.find_all("tr"):
        cells = [cell for cell in row.find_all(["td", "th"]) if cell.find_parent("tr") is row]
        column = 0
        below: dict[int, tuple[Tag, int]] = {}
        for cell in [*cells, None]:
            while column in pending and added < most:
                above, rows = pending.pop(column)
                _insert(row, cell, copy(above))
                added += 1
                if rows > 1:
                    below[column] = (above, rows - 1)
                column += _number(above, "colspan")
            if cell is None:
                break
            rows = _number(cell, "rowspan")
            del cell["rowspan"]
            if rows > 1:
                below[column] = (cell, rows - 1)
            column += _number(cell, "colspan")
        pending = below
    return added


def _insert(row: Tag, before: Tag | None, cell: Tag) -> None:
    if before is None:
        row.append(cell)
    else:
        before.insert_before(cell)


def _number(cell: Tag, name: str) -> int:
    value = str(cell.get(name) or "1")
    return max(1, int(value)) if value.isascii() and value.isdigit() else 1

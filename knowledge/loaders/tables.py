"""Tables as Markdown."""

from collections.abc import Sequence


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A pipe table; the first row is its header. Short rows are filled up; line ends in cells become blanks."""
    width = max((len(row) for row in rows), default=0)
    if not width:
        return ""
    header, *body = ([*map(_cell, row), *[""] * (width - len(row))] for row in rows)
    return "\n".join(_line(row) for row in (header, ["---"] * width, *body))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

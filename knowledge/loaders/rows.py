"""Table rows as documents, rendered by a template of columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge.loaders.decoding import normalise_text
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title
from knowledge.reader import FileUnreadable

_FIELD = re.compile(r"\{([^{}]+)\}")
_TITLE_COLUMNS = ("title", "titre", "name", "nom", "subject", "sujet", "label", "question")
_NAMED_PROBLEMS = 20
"""Most problems reported per file, so that a file of bad lines does not fill the report."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row, numbered from 1: its cells by column, or a sentence with the reason why it is unreadable.

    Row 0 is the text above a table, in a column without a name.
    """

    number: int
    cells: Mapping[str, str]
    problem: str = ""


def row_documents(rows: Sequence[TableRow], raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document per row that is not blank.

    Raises FileUnreadable when no row is readable, the template has an unknown column, or a limit is exceeded.
    """
    good = [row for row in rows if not row.problem and row.number]
    if not good:
        raise FileUnreadable(next((row.problem for row in rows if row.problem), "The file has no rows."))
    _check_template(raw.template, good)
    found = [_document(row, raw) for row in good]
    check_text_size(limits, sum(len(document.text) for document in found))
    above = [_text_above(row, raw) for row in rows if not row.number]
    return above + [document for document in found if document.text] + _problems(rows, raw)


def _text_above(row: TableRow, raw: RawFile) -> ExtractedDocument:
    return ExtractedDocument(text=normalise_text("\n".join(row.cells.values())), title=document_title("", raw.name))


def check_row_count(count: int, limits: LoadLimits) -> None:
    """Raise FileUnreadable when a file has more rows than the limit."""
    if count > limits.rows:
        raise FileUnreadable(
            f"The file has more than {limits.rows:,} rows, which is the limit: split it, or raise row_limit."
        )


def _check_template(template: str, rows: Sequence[TableRow]) -> None:
    wanted = [name.strip() for name in _FIELD.findall(template)]
    if not wanted:
        return
    known = {column.casefold(): column for row in rows for column in row.cells}
    for name in wanted:
        if name.casefold() not in known:
            columns = ", ".join(list(known.values())[:30])
            raise FileUnreadable(
                f"The template names a column {name!r} that the file does not have; it has: {columns}."
            )


def _document(row: TableRow, raw: RawFile) -> ExtractedDocument:
    text = normalise_text(_rendered(row, raw.template)).strip()
    return ExtractedDocument(text=text, title=_title(row, raw.name), row=row.number)


def _rendered(row: TableRow, template: str) -> str:
    if not template:
        return "\n".join(f"{column}: {value}" for column, value in row.cells.items() if value.strip())
    cells = {column.casefold(): value for column, value in row.cells.items()}
    if not any(value.strip() for value in cells.values()):
        return ""
    return _FIELD.sub(lambda match: cells.get(match[1].strip().casefold(), ""), template)


def _title(row: TableRow, name: str) -> str:
    cells = {column.casefold(): value for column, value in row.cells.items()}
    named = next((cells[column] for column in _TITLE_COLUMNS if cells.get(column, "").strip()), "")
    # Without the row's number, which would be searched as a word of the title.
    return document_title(normalise_text(named), "") if named else document_title("", name)


def _problems(rows: Sequence[TableRow], raw: RawFile) -> list[ExtractedDocument]:
    bad = [row for row in rows if row.problem]
    named = [_problem(row, row.problem, raw) for row in bad[:_NAMED_PROBLEMS]]
    rest = len(bad) - len(named)
    if rest > 0:
        named.append(_problem(bad[_NAMED_PROBLEMS], f"{rest:,} more lines from here on cannot be read either.", raw))
    return named


def _problem(row: TableRow, problem: str, raw: RawFile) -> ExtractedDocument:
    return ExtractedDocument(
        text="", title=f"{document_title('', raw.name)}, {row.number}", row=row.number, problem=problem
    )

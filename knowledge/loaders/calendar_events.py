"""Calendar loader (iCalendar, RFC 5545): each event or task is a document."""

import re
from collections.abc import Iterator

from knowledge.loaders.decoding import decode_text
from knowledge.loaders.rows import TableRow, check_row_count, row_documents
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size
from knowledge.reader import FileUnreadable

_FOLDED = re.compile(r"\r?\n[ \t]")
_LINE = re.compile(r"(?P<name>[A-Za-z0-9-]+)(?P<parameters>(?:;[^:\"]*(?:\"[^\"]*\"[^:\"]*)*)?):(?P<value>.*)")
_TIME = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})\d{2}(Z?))?")
_PARTS = frozenset({"VEVENT", "VTODO", "VJOURNAL"})
_NAMES = {
    "SUMMARY": "Title",
    "DTSTART": "Start",
    "DTEND": "End",
    "DUE": "Due",
    "LOCATION": "Place",
    "DESCRIPTION": "Description",
    "RRULE": "Repeats",
    "STATUS": "Status",
    "CATEGORIES": "Categories",
    "ORGANIZER": "Organizer",
    "ATTENDEE": "Attendees",
}
_TIMES = frozenset({"Start", "End", "Due"})
_PEOPLE = frozenset({"Organizer", "Attendees"})
_COMMON_NAME = re.compile(r";CN=(?:\"([^\"]*)\"|([^;:]*))", re.IGNORECASE)


def load(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document per event, task and journal entry. Raises FileUnreadable."""
    text = decode_text(raw.data)
    check_text_size(limits, len(text))
    if "BEGIN:VCALENDAR" not in text.upper():
        raise FileUnreadable("The file is not a calendar: it has no BEGIN:VCALENDAR.")
    rows = list(_rows(text, limits))
    if not rows:
        raise FileUnreadable("The calendar has no events.")
    return row_documents(rows, raw, limits)


def _rows(text: str, limits: LoadLimits) -> Iterator[TableRow]:
    cells: dict[str, str] | None = None
    part, number = "", 0
    for line in _FOLDED.sub("", text).splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        name, value = match["name"].upper(), match["value"].strip()
        if name == "BEGIN" and value.upper() in _PARTS:
            cells, part = {}, value.upper()
        elif name == "END" and value.upper() == part and cells is not None:
            number += 1
            check_row_count(number, limits)
            yield TableRow(number, cells)
            cells = None
        elif cells is not None and name in _NAMES:
            _add(cells, _NAMES[name], match["parameters"], value)


def _add(cells: dict[str, str], column: str, parameters: str, value: str) -> None:
    if column in _TIMES:
        value = _time(value)
    elif column in _PEOPLE:
        named = _COMMON_NAME.search(parameters)
        value = (named[1] or named[2]) if named else value.removeprefix("mailto:").removeprefix("MAILTO:")
    else:
        value = re.sub(r"\\([nN,;\\])", lambda match: "\n" if match[1] in "nN" else match[1], value)
    # A description may be repeated by an alarm inside the event, people are several.
    if column not in cells:
        cells[column] = value
    elif column in _PEOPLE:
        cells[column] += f", {value}"


def _time(value: str) -> str:
    """A date as people write it, and after it as the calendar does: both are searched."""
    match = _TIME.fullmatch(value)
    if match is None:
        return value
    year, month, day, hour, minute, utc = match.groups()
    clock = f" {hour}:{minute}{' UTC' if utc else ''}" if hour else ""
    return f"{year}-{month}-{day}{clock} ({value})"

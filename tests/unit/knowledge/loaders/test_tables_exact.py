"""Cells of tables in files of all kinds that hold tables come out exactly as they went in."""

from html import escape

import pytest

from knowledge.loaders import load_documents
from knowledge.loaders.types import LoadLimits, RawFile
from tests.fakes import office_files
from tests.fakes.pdfs import table_pdf

DEVICES = [
    ["Gerät", "Standort", "Preis", "Garantie bis"],
    ["Waschmaschine", "Keller", "649,00 €", "14.05.2028"],
    ["Gefrierschrank", "", "1.299,50 €", "20.02.2027"],
    ["Spül- & Trockner", "Küche", "0", "-"],
]
ROOMS = [["Room", "m²", "Breaker", "Phase"]] + [
    [f"room {number}", f"{number * 3}.5", f"C-{number:03}", f"L{number % 3 + 1}"] for number in range(1, 41)
]
EXPORTED = [["Pièce", "Étage", "Réf."], ["Chaufferie", "sous-sol", "WP-150-30"], ["Été < 25°", "1", "A_17*"]]


def html(rows: list[list[str]]) -> bytes:
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<html><meta charset=utf-8><body><h1>T</h1><table>{body}</table></body></html>".encode()


SPANNED = (
    '<table><tr><th>Street<th>Kind<th>Day</tr><tr><td rowspan="2">North<td>Paper<td>Thursday</tr>'
    "<tr><td>Glass<td>Monday</tr><tr><td>South<td rowspan=3>Paper<td>Tuesday</tr><tr><td>East<td>Friday</tr>"
    "<tr><td>West<td>Sunday</tr></table>"
)
SPANNED_ROWS = [
    ["Street", "Kind", "Day"],
    ["North", "Paper", "Thursday"],
    ["North", "Glass", "Monday"],
    ["South", "Paper", "Tuesday"],
    ["East", "Paper", "Friday"],
    ["West", "Paper", "Sunday"],
]
FILES = {
    "devices.docx": (office_files.docx(table=DEVICES), DEVICES),
    "rooms.docx": (office_files.docx(heading="Rooms", table=ROOMS), ROOMS),
    "devices.xlsx": (office_files.xlsx({"Geräte": DEVICES}), DEVICES),
    "rooms.xlsx": (office_files.xlsx({"Rooms": ROOMS}), ROOMS),
    "devices.ods": (office_files.ods({"Geräte": DEVICES}), DEVICES),
    "exported.ods": (office_files.ods({"Export": EXPORTED}), EXPORTED),
    "devices.pptx": (office_files.pptx([("Geräte", ["Liste"], DEVICES)]), DEVICES),
    "devices.odt": (office_files.odt(table=DEVICES), DEVICES),
    "exported.html": (html(EXPORTED), EXPORTED),
    "rooms.html": (html(ROOMS), ROOMS),
    "spanned.html": (SPANNED.encode(), SPANNED_ROWS),
    "rooms.pdf": (table_pdf(ROOMS), ROOMS),
}


def cells(text: str) -> list[list[str]]:
    lines = [line.strip() for line in text.split("\n") if line.startswith("|")]
    rows = [[cell.strip() for cell in line[1:-1].replace("\\|", "\0").split("|")] for line in lines]
    return [row for row in rows if not all(set(cell) <= {"-", ":"} and cell for cell in row)]


@pytest.mark.parametrize("name", FILES)
def test_every_cell_of_a_table_is_exact(name: str) -> None:
    data, rows = FILES[name]
    (document,) = load_documents(RawFile(name, data), LoadLimits())
    assert cells(document.text) == rows

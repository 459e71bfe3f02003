"""Broken, encrypted, mislabelled and malicious documents of all kinds, each with a part of the reason to be given."""

import io
import zipfile
import zlib
from pathlib import Path

from tests.fakes import office_files
from tests.fakes.pdfs import pdf

_TABLE = [["Device", "Shelf"], ["Router", "Bramble"], ["Scanner", "Medlar"]]
_DATA = Path(__file__).parents[1] / "data"
_PICTURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
WHOLE = {
    "docx": office_files.docx(heading="Lease", paragraphs=["The rent is due."] * 40, table=_TABLE),
    "xlsx": office_files.xlsx({"Devices": _TABLE * 30}),
    "pptx": office_files.pptx([("Devices", ["The router is on the shelf."], _TABLE)]),
    "odt": office_files.odt(heading="Lease", paragraphs=["The rent is due."] * 40, table=_TABLE),
    "ods": office_files.ods({"Devices": _TABLE * 30}),
    "odp": office_files.odp([("Devices", ["The router is on the shelf."])]),
    "epub": office_files.epub("House", {"Rent": "<p>The rent is due.</p>"}),
}
_PACKED = "ZIP|broken|not what its name|ends|old format"


def broken_files() -> dict[str, tuple[bytes, str]]:
    """Files by name: their bytes, and a pattern that the reason matches."""
    return {
        **_empty(),
        **_cut(),
        **_rotten(),
        **_mislabelled(),
        **_encrypted(),
        **_bombs(),
        **_senseless(),
    }


def _empty() -> dict[str, tuple[bytes, str]]:
    kinds = (*WHOLE, "pdf", "doc", "xls", "ppt", "msg", "rtf", "md", "html", "csv", "json", "jsonl", "eml", "mbox")
    empty = {f"zero-bytes.{kind}": (b"", "The file is empty") for kind in kinds}
    blank = {
        f"blank.{kind}": (b" \n\t " * 50, "The file is blank") for kind in ("md", "txt", "docx", "pdf", "ics", "srt")
    }
    return empty | blank


def _cut() -> dict[str, tuple[bytes, str]]:
    """The beginnings of files: what a full disk or a broken download leaves."""
    files = {}
    for kind, data in WHOLE.items():
        files[f"half.{kind}"] = (data[: len(data) // 2], _PACKED)
        files[f"first-bytes.{kind}"] = (data[:40], _PACKED)
        files[f"without-its-end.{kind}"] = (data[:-30], _PACKED)
    whole = pdf(["Hello there."])
    for kind in ("doc", "xls", "ppt", "msg"):
        files[f"half.{kind}"] = (_OLE + bytes(600), "old format")
    files["half.pdf"] = (whole[:200], "PDF is broken")
    files["half.json"] = (b'{"device": "router", "shelf": ', "JSON is broken")
    files["half.jsonl"] = (b'{"device": "router"', "cannot be read")
    files["half.png"] = (_PICTURE, "picture")
    files["half.ics"] = (b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Sweep", "no events")
    files["half.ipynb"] = (b'{"cells": [{"cell_type": "markdown", "source": ["# T', "broken")
    return files


def _rotten() -> dict[str, tuple[bytes, str]]:
    """Archives whose index is whole, and whose content is not."""
    files = {}
    for kind, data in WHOLE.items():
        middle = bytearray(data)
        start = len(data) // 4
        middle[start : start + len(data) // 3] = bytes(len(data) // 3)
        files[f"zeroed.{kind}"] = (bytes(middle), "broken|no text|ZIP|old format")
    for kind, part in {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "odt": "content.xml"}.items():
        parts = _parts(WHOLE[kind])
        files[f"cut-xml.{kind}"] = (office_files.zip_file(parts | {part: parts[part][:60]}), "broken|no text")
        parts.pop(part)
        files[f"without-content.{kind}"] = (office_files.zip_file(parts), "broken|no text|ZIP archive")
    return files


def _mislabelled() -> dict[str, tuple[bytes, str]]:
    archive = office_files.zip_file({"notes/a.txt": "text", "notes/b.txt": "text"})
    files = {
        f"archive.{kind}": (archive, "ZIP archive, which is not read") for kind in ("docx", "zip", "txt", "epub", "md")
    }
    files |= {f"picture.{kind}": (_PICTURE, "picture") for kind in ("docx", "pdf", "txt", "md")}
    files |= {
        f"program.{kind}": (b"\x7fELF" + bytes(range(256)) * 20, "not text|not what its name")
        for kind in ("docx", "txt", "csv", "odt")
    }
    files |= {
        f"text.{kind}": (b"just words, no more", "not what its name|broken")
        for kind in ("docx", "pptx", "odt", "epub", "msg", "rtf")
    }
    files["words.pdf"] = (b"just words, no more", "PDF is broken")
    files["words.ics"] = (b"just words, no more", "not a calendar")
    files["words.srt"] = (b"just words, no more", "no subtitles")
    files["words.eml"] = (b"just words, no more", "not a mail")
    files["words.json"] = (b"just words, no more", "JSON is broken in line 1")
    files["gzip.txt"] = (b"\x1f\x8b\x08\0" + bytes(range(200)), "compressed")
    files["database.txt"] = (b"SQLite format 3\0" + bytes(200), "database")
    return files


def _encrypted() -> dict[str, tuple[bytes, str]]:
    ole = _OLE + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(400)
    files = {f"encrypted.{kind}": (ole, "encrypted") for kind in ("docx", "xlsx", "pptx")}
    parts = _parts(WHOLE["odt"])
    manifest = parts["META-INF/manifest.xml"].replace(
        b'"text/xml"/>', b'"text/xml"><manifest:encryption-data/></manifest:file-entry>'
    )
    files["encrypted.odt"] = (office_files.zip_file(parts | {"META-INF/manifest.xml": manifest}), "encrypted")
    files["encrypted.pdf"] = ((_DATA / "encrypted.pdf").read_bytes(), "encrypted")
    flagged = bytearray(WHOLE["docx"])
    for place in (flagged.find(b"PK\x01\x02") + 8, 6):
        flagged[place] |= 1
    files["encrypted-archive.docx"] = (bytes(flagged), "encrypted")
    return files


def _bombs() -> dict[str, tuple[bytes, str]]:
    """Small files that would be gigabytes unpacked."""
    files = {}
    for kind, part in {"docx": "word/document.xml", "xlsx": "xl/worksheets/sheet1.xml", "odt": "content.xml"}.items():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in _parts(WHOLE[kind]).items():
                archive.writestr(name, data if name != part else bytes(60_000_000))
        files[f"bomb.{kind}"] = (buffer.getvalue(), "MB unpacked")
    stream = zlib.compress(b" " * 30_000_000, 9)
    body = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(stream), stream)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
        body,
    ]
    parts = b"".join(b"%d 0 obj\n%b\nendobj\n" % (number, part) for number, part in enumerate(objects, start=1))
    files["bomb.pdf"] = (b"%PDF-1.4\n" + parts + b"trailer << /Root 1 0 R >>\n%%EOF", "no text|broken")
    files["deep.json"] = (b"[" * 200_000, "nested too deeply|broken")
    return files


def _senseless() -> dict[str, tuple[bytes, str]]:
    return {
        "no-events.ics": (b"BEGIN:VCALENDAR\nEND:VCALENDAR", "no events"),
        "no-date.mbox": (b"From nobody\n\nhello", "no messages"),
        "header-only.csv": (b"Device,Shelf\n", "no rows"),
        "only-a-script.html": (b"<html><script>alert(1)</script></html>", "no text"),
        "only-a-comment.md": (b"<!-- nothing -->", "no text"),
        "long-number.json": (b'{"a": ' + b"9" * 5000 + b"}", "too long"),
        "loop.pdf": (b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 1 0 R /Kids [1 0 R] >>\nendobj\n%%EOF", "broken"),
        "no-pages.pdf": (b"%PDF-1.7\n" + bytes(500), "PDF is broken"),
    }


def _parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}

"""Detection of a file's format, by its first bytes and its name, and the loader of each format."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import PurePosixPath
from typing import cast

from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile
from knowledge.reader import FileUnreadable

Loader = Callable[[RawFile, LoadLimits], list[ExtractedDocument]]

PDF_START = b"%PDF-"
_ZIP_START = b"PK\x03\x04"
_OLE_START = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_RTF_START = b"{\\rtf"
_HTML_START = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:<!--.{0,1000}?-->\s*)*<(?:!doctype html|html)\b", re.I | re.S)
_PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*", b"BM")

OFFICE = {
    **dict.fromkeys(
        ["docx", "docm", "dotx"], "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    ),
    **dict.fromkeys(["xlsx", "xlsm", "xltx"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    **dict.fromkeys(
        ["pptx", "pptm", "ppsx"], "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    ),
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "epub": "application/epub+zip",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "msg": "application/vnd.ms-outlook",
    "rtf": "application/rtf",
    "fb2": "application/x-fictionbook+xml",
    "ipynb": "application/x-ipynb+json",
    "rst": "text/x-rst",
    "org": "text/x-org",
}
"""The media type of each kind that the office loader reads."""
_CODE = (
    "py js ts jsx tsx java kt c h cpp hpp cc cs go rs rb php pl lua swift scala sh bash zsh fish ps1 bat sql r jl "
    "nix tf dart vue svelte css scss gradle groovy ino yaml yml toml ini cfg conf properties env service xml"
)
_SUFFIXES = {
    "markdown": "md markdown mdx mdown mkd",
    "html_page": "html htm xhtml",
    "pdf": "pdf",
    "csv_rows": "csv tsv",
    "jsonl_rows": "jsonl ndjson",
    "json_document": "json",
    "asciidoc": "adoc asciidoc asc",
    "calendar_events": "ics",
    "subtitles": "srt vtt",
    "mail": "eml mbox",
    "office": " ".join(OFFICE),
    "text": f"txt text log tex {_CODE}",
}
"""The module of each loader, and the suffixes that it reads."""
_PICTURE_SUFFIXES = frozenset({"png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif"})
_MODULES = {f".{suffix}": module for module, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
READABLE_SUFFIXES = frozenset(_MODULES)
"""File types that are read unless a collection lists its own."""

_ZIP_FOLDERS = {"word/": "docx", "xl/": "xlsx", "ppt/": "pptx"}
_OLE_STREAMS = {
    "WordDocument": "doc",
    "Workbook": "xls",
    "Book": "xls",
    "PowerPoint Document": "ppt",
    "__properties_version1.0": "msg",
}
_OLE_ENCRYPTED = "EncryptedPackage"
_KINDS_OF_MEDIA = {media: kind for kind, media in OFFICE.items()}
LOADER_MODULES = (*_SUFFIXES, "picture")


def find_loader(raw: RawFile) -> Loader:
    """The loader of a file: its first bytes decide, then its suffix. Raises FileUnreadable for an archive.

    Loaders are imported on first use: the parent process needs the suffixes, not the parsers.
    """
    module = _module_by_content(raw.data) or _MODULES.get(PurePosixPath(raw.name).suffix.lower(), "text")
    if module == "office" and not office_kind(raw):
        module = _module_of_text(raw)
    return cast(Loader, import_module(f"knowledge.loaders.{module}").load)


def office_kind(raw: RawFile) -> str:
    """The key in `OFFICE` of what a file holds, whatever its name; empty for none.

    Raises FileUnreadable when the file is encrypted or an archive of other files.
    """
    data = raw.data
    if data.startswith(_ZIP_START):
        return _zip_kind(data)
    if data.startswith(_OLE_START):
        return _ole_kind(data)
    if data.startswith(_RTF_START):
        return "rtf"
    kind = PurePosixPath(raw.name).suffix.lower().removeprefix(".")
    return kind if kind in ("fb2", "ipynb", "rst", "org") else ""


def _module_by_content(data: bytes) -> str:
    if data.startswith(PDF_START):
        return "pdf"
    if data.startswith((_ZIP_START, _OLE_START, _RTF_START)):
        return "office"
    return "picture" if data.startswith(_PICTURE_STARTS) else ""


def _module_of_text(raw: RawFile) -> str:
    """The loader of a file that has an office suffix but is text: programs export HTML and CSV by such names."""
    if _HTML_START.match(raw.data):
        return "html_page"
    suffix = PurePosixPath(raw.name).suffix.lower().removeprefix(".")
    if suffix == "msg" and re.match(rb"[A-Za-z-]{2,40}:", raw.data):
        return "mail"
    if suffix in ("xls", "xlsx") and not _looks_binary(raw.data):
        return "csv_rows"
    if suffix in ("doc", "txt") and not _looks_binary(raw.data):
        return "text"
    raise FileUnreadable(f"The file is not what its name says (.{suffix}), or it is broken: export it again.")


def _looks_binary(data: bytes) -> bool:
    return b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff"))


def _zip_kind(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(info.flag_bits & 1 for info in archive.infolist()):
                raise FileUnreadable("The file is encrypted: save a copy without a password.")
            names = archive.namelist()
            media = archive.read("mimetype")[:200].decode("ascii", "replace").strip() if "mimetype" in names else ""
            if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
                raise FileUnreadable("The document is encrypted: save a copy without a password.")
    except (zipfile.BadZipFile, RuntimeError, OSError, EOFError, ValueError, zlib.error) as error:
        raise FileUnreadable("The file is a broken or cut ZIP archive: export or copy it again.") from error
    kind = _KINDS_OF_MEDIA.get(media.removesuffix("-template"), "")
    if kind in ("odt", "ods", "odp", "epub"):
        return kind
    for folder, found in _ZIP_FOLDERS.items():
        if any(name.startswith(folder) for name in names):
            return found
    raise FileUnreadable("The file is a ZIP archive, which is not read: unpack it into the folder.")


def _ole_kind(data: bytes) -> str:
    """The kind of a compound file, by the names of its streams, which stand in it as UTF-16."""

    def holds(stream: str) -> bool:
        return stream.encode("utf-16-le") + b"\0\0" in data

    if holds(_OLE_ENCRYPTED):
        raise FileUnreadable("The document is encrypted: save a copy without a password.")
    for stream, kind in _OLE_STREAMS.items():
        if holds(stream):
            return kind
    raise FileUnreadable("The file is an office document of an old format that is not read, or it is cut.")

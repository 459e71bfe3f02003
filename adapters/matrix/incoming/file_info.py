"""Reads the description of a file from its message: name, type, size, address and key. Pure."""

import mimetypes
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from adapters.matrix.event_content import get_number, get_object, get_text
from adapters.matrix.events import Json
from bot.core.foreign_text import INVISIBLE

FILE_MSGTYPES = frozenset({"m.file", "m.image", "m.audio", "m.video"})
NAME_CHARACTERS = 100
UNKNOWN_TYPE = "application/octet-stream"
MEDIA_TYPE = re.compile(r"[a-z]{1,20}/(?!vnd\.hearth\.)[\w.+-]{1,100}", re.I)
URI = re.compile(r"mxc://[\w.:\[\]-]{1,255}/[\w-]{1,255}")


@dataclass(frozen=True, slots=True)
class FileKey:
    """The key of an encrypted file, in base64 as received; `sha256` is of the encrypted bytes."""

    key: str
    iv: str
    sha256: str


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file as its message describes it. `size_bytes` is -1 when not stated; `uri` is empty when it is malformed."""

    name: str
    media_type: str
    size_bytes: int
    uri: str
    key: FileKey | None = None


def parse_file(content: Json, msgtype: str, name: str) -> FileInfo:
    """The file that a message describes; `name` is what the message calls it."""
    name = safe_file_name(name)
    info, encrypted = get_object(content, "info"), get_object(content, "file")
    uri = get_text(encrypted, "url") if encrypted else get_text(content, "url")
    return FileInfo(
        name,
        _media_type(get_text(info, "mimetype"), name, msgtype.removeprefix("m.")),
        get_number(info, "size"),
        uri if URI.fullmatch(uri) else "",
        _parse_key(encrypted) if encrypted else None,
    )


def safe_file_name(name: str) -> str:
    """A file name without folders or invisible characters, of bounded length, with its suffix; never empty."""
    last = " ".join(INVISIBLE.sub("", PurePosixPath(name.replace("\\", "/")).name).split()).strip(". ")
    suffix = PurePosixPath(last).suffix[:20]
    return (last.removesuffix(suffix)[: NAME_CHARACTERS - len(suffix)] + suffix) or "file"


def _parse_key(encrypted: Json) -> FileKey:
    return FileKey(
        get_text(get_object(encrypted, "key"), "k"),
        get_text(encrypted, "iv"),
        get_text(get_object(encrypted, "hashes"), "sha256"),
    )


def _media_type(stated: str, name: str, kind: str) -> str:
    stated = stated.partition(";")[0].strip().lower()
    guessed = mimetypes.guess_type(name)[0]
    media_type = stated if MEDIA_TYPE.fullmatch(stated) and stated != UNKNOWN_TYPE else guessed or UNKNOWN_TYPE
    return media_type if kind != "image" or media_type.startswith("image/") else "image/unknown"

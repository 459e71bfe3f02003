"""Files on Matrix, which are messages of their own: which of them go with a question, and fetching them within the
limits.
"""

import asyncio
import logging
import mimetypes
import re
from binascii import Error as NoBase64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

from nio.crypto.attachments import decrypt_attachment  # type: ignore[import-untyped]
from nio.exceptions import EncryptionError  # type: ignore[import-untyped]

from adapters.delivery.errors import TransientFailure
from adapters.matrix.event_content import get_number, get_object, get_text
from adapters.matrix.events import Event, Json
from adapters.matrix.homeserver import FileTooLarge, Homeserver, RequestRefused
from adapters.matrix.incoming.display_names import INVISIBLE
from bot.core.messages import NOT_FETCHED, TOO_LARGE, Attachment

log = logging.getLogger(__name__)

FILE_MSGTYPES = frozenset({"m.file", "m.image", "m.audio", "m.video"})
VOICE = "org.matrix.msc3245.voice"
NAME_CHARACTERS = 100
UNKNOWN_TYPE = "application/octet-stream"
MEDIA_TYPE = re.compile(r"[a-z]{1,20}/(?!vnd\.hearth\.)[\w.+-]{1,100}", re.I)
URI = re.compile(r"mxc://[\w.:\[\]-]{1,255}/[\w-]{1,255}")


@dataclass(frozen=True, slots=True)
class FileKey:
    """What opens an encrypted file: base64 as it came; `sha256` is of the encrypted bytes."""

    key: str
    iv: str
    sha256: str


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file as its message describes it. `size_bytes` is -1 where that is not told; `uri` is empty if it is none."""

    name: str
    media_type: str
    size_bytes: int
    uri: str
    key: FileKey | None = None


def is_file(content: Json) -> bool:
    """Whether a message is a file."""
    return get_text(content, "msgtype") in FILE_MSGTYPES


def caption_of(content: Json) -> str:
    """What is said with a file: its body, if the name stands elsewhere (client-server API, "Media captions")."""
    body, name = get_text(content, "body"), get_text(content, "filename")
    return body if name and body != name else ""


def is_bare_file(content: Json) -> bool:
    """Whether a message is a file without a word. What was spoken is none: it is said itself."""
    return is_file(content) and not caption_of(content).strip() and VOICE not in content


def parse_file(content: Json) -> FileInfo | None:
    """The file that a message is; None when it is none."""
    if not is_file(content):
        return None
    name = safe_file_name(get_text(content, "filename") or get_text(content, "body"))
    kind, info, locked = get_text(content, "msgtype"), get_object(content, "info"), get_object(content, "file")
    uri = get_text(locked, "url") if locked else get_text(content, "url")
    return FileInfo(
        name,
        _media_type(get_text(info, "mimetype"), name, kind.removeprefix("m.")),
        get_number(info, "size"),
        uri if URI.fullmatch(uri) else "",
        FileKey(
            get_text(get_object(locked, "key"), "k"),
            get_text(locked, "iv"),
            get_text(get_object(locked, "hashes"), "sha256"),
        )
        if locked
        else None,
    )


def safe_file_name(name: str) -> str:
    """A file's name without folders or signs that nobody sees, of bearable length, and with its ending; never empty."""
    last = " ".join(INVISIBLE.sub("", PurePosixPath(name.replace("\\", "/")).name).split()).strip(". ")
    suffix = PurePosixPath(last).suffix[:20]
    return (last.removesuffix(suffix)[: NAME_CHARACTERS - len(suffix)] + suffix) or "file"


def files_before(last: Sequence[Event], author: str, count: int) -> list[Event]:
    """The files that somebody sent without a word since they last wrote something; `last` and the result are oldest
    first, and of too many the newest count.
    """
    files: list[Event] = []
    for event in reversed(last):
        if event.sender != author:
            continue
        if not is_bare_file(event.content):
            break
        files.append(event)
    return files[:count][::-1]


async def fetch_attachments(
    wire: Homeserver, files: Sequence[FileInfo], limit_bytes: int, deadline: float
) -> tuple[Attachment, ...]:
    """The files; of pictures, and of those over the limit or out of reach, only the name comes, without data. What has
    not come by `deadline`, a time of the loop, is out of reach.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="matrix-file") as thread:
        return tuple([await _fetch_one(wire, file, limit_bytes, deadline, thread) for file in files])


async def _fetch_one(
    wire: Homeserver, file: FileInfo, limit_bytes: int, deadline: float, thread: ThreadPoolExecutor
) -> Attachment:
    if file.media_type.startswith("image/"):
        return Attachment(file.name, file.media_type, b"")
    if file.size_bytes > limit_bytes:
        return Attachment(file.name, f"{TOO_LARGE}{limit_bytes}", b"")
    try:
        async with asyncio.timeout_at(deadline):
            data = await wire.download_file(file.uri, limit_bytes) if file.uri else None
    except FileTooLarge:
        return Attachment(file.name, f"{TOO_LARGE}{limit_bytes}", b"")
    except (RequestRefused, TransientFailure, TimeoutError) as error:
        log.warning("A file could not be fetched: %s", error or "it took too long")
        data = None
    if data is not None and file.key is not None:
        # Of 10 MB it takes some 50 ms, which the loop has not got.
        data = await asyncio.get_running_loop().run_in_executor(thread, _decrypt_file, data, file.key)
    return Attachment(file.name, NOT_FETCHED, b"") if data is None else Attachment(file.name, file.media_type, data)


def _decrypt_file(data: bytes, lock: FileKey) -> bytes | None:
    """A file decrypted; None when it is not what was sent, or its key is none."""
    try:
        opened = decrypt_attachment(data, lock.key, lock.sha256, lock.iv)
    except (EncryptionError, NoBase64, ValueError, OverflowError) as error:
        log.warning("A file could not be decrypted: %s", type(error).__name__)
        return None
    return bytes(opened)


def _media_type(told: str, name: str, kind: str) -> str:
    told = told.partition(";")[0].strip().lower()
    guessed = mimetypes.guess_type(name)[0]
    named = told if MEDIA_TYPE.fullmatch(told) and told != UNKNOWN_TYPE else guessed or UNKNOWN_TYPE
    return named if kind != "image" or named.startswith("image/") else "image/unknown"

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

from adapters.matrix.event_content import member, number, text
from adapters.matrix.events import Event, Json
from adapters.matrix.homeserver import Refused, TooLarge, Unsettled, Wire
from adapters.matrix.incoming.display_names import UNSEEN
from bot.core.messages import NOT_FETCHED, TOO_LARGE, Attachment

log = logging.getLogger(__name__)

KINDS = frozenset({"m.file", "m.image", "m.audio", "m.video"})
VOICE = "org.matrix.msc3245.voice"
NAME_CHARACTERS = 100
UNKNOWN = "application/octet-stream"
MEDIA_TYPE = re.compile(r"[a-z]{1,20}/(?!vnd\.hearth\.)[\w.+-]{1,100}", re.I)
URI = re.compile(r"mxc://[\w.:\[\]-]{1,255}/[\w-]{1,255}")


@dataclass(frozen=True, slots=True)
class Lock:
    """What opens an encrypted file: base64 as it came; `sha256` is of the encrypted bytes."""

    key: str
    iv: str
    sha256: str


@dataclass(frozen=True, slots=True)
class File:
    """A file as its message describes it. `size_bytes` is -1 where that is not told; `uri` is empty if it is none."""

    name: str
    media_type: str
    size_bytes: int
    uri: str
    lock: Lock | None = None


def is_file(content: Json) -> bool:
    """Whether a message is a file."""
    return text(content, "msgtype") in KINDS


def caption_of(content: Json) -> str:
    """What is said with a file: its body, if the name stands elsewhere (client-server API, "Media captions")."""
    body, name = text(content, "body"), text(content, "filename")
    return body if name and body != name else ""


def is_bare(content: Json) -> bool:
    """Whether a message is a file without a word. What was spoken is none: it is said itself."""
    return is_file(content) and not caption_of(content).strip() and VOICE not in content


def file_of(content: Json) -> File | None:
    """The file that a message is; None when it is none."""
    if not is_file(content):
        return None
    name = file_name(text(content, "filename") or text(content, "body"))
    kind, info, locked = text(content, "msgtype"), member(content, "info"), member(content, "file")
    uri = text(locked, "url") if locked else text(content, "url")
    return File(
        name,
        _media_type(text(info, "mimetype"), name, kind.removeprefix("m.")),
        number(info, "size"),
        uri if URI.fullmatch(uri) else "",
        Lock(text(member(locked, "key"), "k"), text(locked, "iv"), text(member(locked, "hashes"), "sha256"))
        if locked
        else None,
    )


def file_name(name: str) -> str:
    """A file's name without folders or signs that nobody sees, of bearable length, and with its ending; never empty."""
    last = " ".join(UNSEEN.sub("", PurePosixPath(name.replace("\\", "/")).name).split()).strip(". ")
    suffix = PurePosixPath(last).suffix[:20]
    return (last.removesuffix(suffix)[: NAME_CHARACTERS - len(suffix)] + suffix) or "file"


def put_down(last: Sequence[Event], author: str, count: int) -> list[Event]:
    """The files that somebody sent without a word since they last wrote something; `last` and the result are oldest
    first, and of too many the newest count.
    """
    files: list[Event] = []
    for event in reversed(last):
        if event.sender != author:
            continue
        if not is_bare(event.content):
            break
        files.append(event)
    return files[:count][::-1]


async def fetch(wire: Wire, files: Sequence[File], limit_bytes: int, deadline: float) -> tuple[Attachment, ...]:
    """The files; of pictures, and of those over the limit or out of reach, only the name comes, without data. What has
    not come by `deadline`, a time of the loop, is out of reach.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="matrix-file") as thread:
        return tuple([await _one(wire, file, limit_bytes, deadline, thread) for file in files])


async def _one(wire: Wire, file: File, limit_bytes: int, deadline: float, thread: ThreadPoolExecutor) -> Attachment:
    if file.media_type.startswith("image/"):
        return Attachment(file.name, file.media_type, b"")
    if file.size_bytes > limit_bytes:
        return Attachment(file.name, f"{TOO_LARGE}{limit_bytes}", b"")
    try:
        async with asyncio.timeout_at(deadline):
            data = await wire.download(file.uri, limit_bytes) if file.uri else None
    except TooLarge:
        return Attachment(file.name, f"{TOO_LARGE}{limit_bytes}", b"")
    except (Refused, Unsettled, TimeoutError) as error:
        log.warning("A file could not be fetched: %s", error or "it took too long")
        data = None
    if data is not None and file.lock is not None:
        # Of 10 MB it takes some 50 ms, which the loop has not got.
        data = await asyncio.get_running_loop().run_in_executor(thread, _unlocked, data, file.lock)
    return Attachment(file.name, NOT_FETCHED, b"") if data is None else Attachment(file.name, file.media_type, data)


def _unlocked(data: bytes, lock: Lock) -> bytes | None:
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
    named = told if MEDIA_TYPE.fullmatch(told) and told != UNKNOWN else guessed or UNKNOWN
    return named if kind != "image" or named.startswith("image/") else "image/unknown"

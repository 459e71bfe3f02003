"""Files on Matrix, each a message of its own: selects those that belong to a question, and fetches them in limits."""

import asyncio
import logging
from binascii import Error as InvalidBase64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from nio.crypto.attachments import decrypt_attachment  # type: ignore[import-untyped]
from nio.exceptions import EncryptionError  # type: ignore[import-untyped]

from adapters.delivery.errors import TransientFailure
from adapters.matrix.homeserver import FileTooLarge, Homeserver, RequestRefused
from adapters.matrix.incoming.file_info import FileInfo, FileKey
from adapters.matrix.incoming.parsed_message import ParsedMessage
from bot.core.messages import Attachment

log = logging.getLogger(__name__)


def files_before(recent: Sequence[ParsedMessage], author: str, count: int) -> list[FileInfo]:
    """The bare files that a person sent since their last text, the newest when there are too many; `recent` and the
    result are oldest first.
    """
    files: list[FileInfo] = []
    for message in reversed(recent):
        if message.sender != author or is_voice(message):
            continue
        if not message.is_bare_file or message.file is None:
            break
        files.append(message.file)
    return files[:count][::-1]


def is_voice(message: ParsedMessage) -> bool:
    """Whether a message is a recording: a question, which asks nothing about the files around it."""
    return message.file is not None and not message.is_bare_file and not message.caption.strip()


async def fetch_attachments(
    homeserver: Homeserver, files: Sequence[FileInfo], limit_bytes: int, deadline: float
) -> tuple[Attachment, ...]:
    """The files; pictures, files over the limit and files not fetched by `deadline`, a time of the loop, come without
    their data.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="matrix-file") as thread:
        return tuple([await _fetch_one(homeserver, file, limit_bytes, deadline, thread) for file in files])


async def _fetch_one(
    homeserver: Homeserver, file: FileInfo, limit_bytes: int, deadline: float, thread: ThreadPoolExecutor
) -> Attachment:
    if file.media_type.startswith("image/"):
        return Attachment(file.name, file.media_type, b"")
    if file.size_bytes > limit_bytes:
        return Attachment.too_large(file.name, limit_bytes)
    try:
        async with asyncio.timeout_at(deadline):
            data = await homeserver.download_file(file.uri, limit_bytes) if file.uri else None
    except FileTooLarge:
        return Attachment.too_large(file.name, limit_bytes)
    except (RequestRefused, TransientFailure, TimeoutError) as error:
        log.warning("Could not fetch a file: %s", error or "it took too long")
        data = None
    if data is not None and file.key is not None:
        # 10 MB take some 50 ms, too long for the event loop.
        data = await asyncio.get_running_loop().run_in_executor(thread, _decrypt_file, data, file.key)
    return Attachment.not_fetched(file.name) if data is None else Attachment(file.name, file.media_type, data)


def _decrypt_file(data: bytes, key: FileKey) -> bytes | None:
    """A file decrypted; None when its data or key were damaged."""
    try:
        decrypted = decrypt_attachment(data, key.key, key.sha256, key.iv)
    except (EncryptionError, InvalidBase64, ValueError, OverflowError):
        log.warning("Could not decrypt a file: it or its key is damaged.")
        return None
    return bytes(decrypted)

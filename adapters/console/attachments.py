"""Reader of the files attached to console messages, in a thread of its own."""

import asyncio
import mimetypes
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adapters.console.jsonl import AttachmentLine, BadLine
from bot.core.messages import Attachment


class FileAttachmentReader:
    """Reads attachments of at most `limit_bytes` each."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="console-files")

    async def read_attachments(self, lines: Sequence[AttachmentLine], folder: Path) -> tuple[Attachment, ...]:
        """Read the files, relative paths from `folder`. Raises BadLine with the reason when one cannot be read."""
        if not lines:
            return ()
        loop = asyncio.get_running_loop()
        return tuple([await loop.run_in_executor(self._thread, self._read_one, line, folder) for line in lines])

    def _read_one(self, line: AttachmentLine, folder: Path) -> Attachment:
        if line.path is None:
            name, data = line.name or "", line.decode_data()
        else:
            path = folder / _expanded(line.path)
            name, data = line.name or path.name, self._read_content(path)
        if len(data) > self._limit_bytes:
            raise BadLine(f"attachments: {name} is over the limit of {self._limit_bytes} bytes")
        return Attachment(name, line.media_type or mimetypes.guess_type(name)[0] or "application/octet-stream", data)

    def _read_content(self, path: Path) -> bytes:
        try:
            # Opening a pipe or a device could block for ever.
            if not stat.S_ISREG(path.stat().st_mode):
                raise BadLine(f"attachments: {path} is not a file")
            with path.open("rb") as file:
                return file.read(self._limit_bytes + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise BadLine(f"attachments: {path} cannot be read: {reason}") from error


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadLine(f"attachments: {path} begins with the home folder of a user who has none") from None

"""Safe opening of untrusted files."""

import os
import stat
from typing import BinaryIO

from knowledge.loaders.types import LoadLimits
from knowledge.reader import FileUnreadable


def read_file(path: str, limits: LoadLimits) -> bytes:
    """The bytes of a regular file. Raises FileUnreadable when it cannot be opened, is not a file, or is too large."""
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:
            return _content(file, limits)
    except FileNotFoundError as error:
        raise FileUnreadable("The file is gone.") from error
    except IsADirectoryError as error:
        raise FileUnreadable("This is a folder, not a file.") from error
    except OSError as error:
        raise FileUnreadable(f"The file cannot be opened: {error.strerror}.") from error


def check_file_size(size_bytes: int, limits: LoadLimits) -> None:
    """Raise FileUnreadable when a file exceeds the limit."""
    if size_bytes > limits.file_bytes:
        raise FileUnreadable(
            f"The file has {size_bytes / 1e6:,.1f} MB, and the limit is {limits.file_bytes / 1e6:,.0f} MB: "
            "split it, or raise file_size_limit_mb."
        )


def _open_nonblocking(path: str, flags: int) -> int:
    """Open without blocking: opening a pipe would otherwise wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _content(file: BinaryIO, limits: LoadLimits) -> bytes:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise FileUnreadable("This is a pipe, a socket or a device, not a file.")
    check_file_size(status.st_size, limits)
    data = file.read(limits.file_bytes + 1)
    check_file_size(len(data), limits)  # the file may have grown meanwhile
    return data

"""Safe opening of untrusted files: only regular files below their folder, without waiting for another process."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from knowledge.loaders.log_tail import is_log, tail_start
from knowledge.loaders.types import LoadLimits, RawFile
from knowledge.reader import FileUnreadable

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a pipe would otherwise wait for a writer; a terminal must not become ours.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LINK_ERRORS = (errno.ELOOP, errno.ENOTDIR)
_NO_FILE = "This is a pipe, a socket or a device, not a file."


def open_below(folder: str | os.PathLike[str], document: str) -> BinaryIO:
    """Open a regular file by its path below a folder. Links are followed to files in the folder only.

    The path is resolved first, and then opened step by step without following links: a link that is put in place
    of a file or folder meanwhile leads nowhere. Raises FileUnreadable.
    """
    try:
        descriptor = _open_resolved(os.path.realpath(folder), document)
    except FileNotFoundError as error:
        raise FileUnreadable("The file is gone.") from error
    except OSError as error:
        raise FileUnreadable(_error_sentence(error)) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise FileUnreadable("This is a folder, not a file." if stat.S_ISDIR(mode) else _NO_FILE)
    return os.fdopen(descriptor, "rb")


def read_file(folder: str, document: str, limits: LoadLimits, template: str = "") -> RawFile:
    """A file below a folder; of a log that is too large, the end.

    Raises FileUnreadable when it cannot be opened, read, or is too large.
    """
    with open_below(folder, document) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        start = first_byte(document, size_bytes, limits)
        try:
            file.seek(start)
            # A log grows while it is read; another file that does is too large once it exceeds the limit.
            data = file.read(size_bytes - start if start else limits.file_bytes + 1)
        except OSError as error:
            raise FileUnreadable(f"The file cannot be read: {error.strerror}.") from error
    check_file_size(len(data), limits)
    return RawFile(document, data, template, start)


def first_byte(document: str, size_bytes: int, limits: LoadLimits) -> int:
    """The position from which a file is read: 0, or further on in a log that exceeds the limit.

    Raises FileUnreadable for another file that does.
    """
    if is_log(document):
        return tail_start(size_bytes, limits.file_bytes)
    check_file_size(size_bytes, limits)
    return 0


def check_file_size(size_bytes: int, limits: LoadLimits) -> None:
    """Raise FileUnreadable when a file exceeds the limit."""
    if size_bytes > limits.file_bytes:
        raise FileUnreadable(
            f"The file has {size_bytes / 1e6:,.1f} MB, and the limit is {limits.file_bytes / 1e6:,.0f} MB: "
            "split it, or raise file_size_limit_mb."
        )


def _open_resolved(root: str, document: str) -> int:
    *folders, name = Path(os.path.relpath(os.path.realpath(Path(root, document)), root)).parts or (".",)
    if os.pardir in (*folders, name):
        raise FileUnreadable("This is a link to a place outside the folder.")
    descriptor = os.open(root, _FOLDER_FLAGS)
    for inner in folders:
        descriptor = _step(descriptor, inner, _FOLDER_FLAGS)
    return _step(descriptor, name, _FILE_FLAGS)


def _step(parent: int, name: str, flags: int) -> int:
    """Open a name in a folder, and close the folder."""
    try:
        return os.open(name, flags, dir_fd=parent)
    finally:
        os.close(parent)


def _error_sentence(error: OSError) -> str:
    if error.errno in _LINK_ERRORS:
        return "A link was put in its place while the folder was read."
    if error.errno == errno.ENXIO:  # a socket
        return _NO_FILE
    return f"The file cannot be opened: {error.strerror}."

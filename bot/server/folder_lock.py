"""Lock on the data folder, which one process owns, and the id of that process."""

import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_NAME = "hearth.lock"
OWNER_NAME = "hearth.pid"
OWN_NAMES = frozenset({LOCK_NAME, "history.sqlite3", "knowledge.sqlite3"})
"""Files that tell a data folder."""
MOUNT_FOLDER = "lost+found"
"""The only content of a disk that was just formatted."""
_ACQUIRE_TIMEOUT_S = 0.2
"""Longer than `owner_pid` holds the lock to ask it."""


@dataclass(eq=False)
class FolderInUse(Exception):
    """Another process owns the data folder; `pid` is 0 when it has not written it yet.

    `work`: what it does, if that ends by itself.
    """

    user_facing = True
    folder: Path
    pid: int
    work: str = ""

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else "another process"
        if self.work:
            return (
                f"The data folder {self.folder} is in use by {who}, which is {self.work}. Try again when that is done."
            )
        return f"The data folder {self.folder} is in use by {who}. Stop it, or give this one a data folder of its own."


@dataclass(eq=False)
class FolderUnusable(Exception):
    """The data folder cannot be made or written to; `reason` is a sentence."""

    user_facing = True
    folder: Path
    reason: str

    def __str__(self) -> str:
        return f"The data folder {self.folder} cannot be used: {self.reason}"


class FolderLock:
    """Ownership of a data folder until `release`. The kernel releases it too when the process dies.

    `work` is for those who have to wait: what this process does, if that ends by itself.
    """

    def __init__(self, folder: Path, work: str = "") -> None:
        self._folder = folder
        self._work = work
        self._lock = FileLock(folder / LOCK_NAME, mode=0o600)

    def acquire(self) -> None:
        """Make the folder if need be, private to its user, and own it. Raises FolderInUse, FolderUnusable."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_private()
            self._lock.acquire(timeout=_ACQUIRE_TIMEOUT_S, poll_interval=0.02)
            (self._folder / OWNER_NAME).write_text(f"{os.getpid()}\n{self._work}", encoding="utf-8")
        except Timeout as error:
            raise FolderInUse(self._folder, *_read_owner(self._folder)) from error
        except OSError as error:
            raise FolderUnusable(self._folder, f"{error.strerror}.") from error

    def release(self) -> None:
        """Give the folder up."""
        if self._lock.is_locked:
            (self._folder / OWNER_NAME).unlink(missing_ok=True)
            self._lock.release()

    def _make_private(self) -> None:
        """Close the folder to other users, if it is Hearth's alone: others may need what else is in it."""
        if is_private(self._folder):
            return
        if not is_own_folder(self._folder):
            reason = "it holds other things, and other users can open it. Give Hearth a folder of its own, such as"
            raise FolderUnusable(self._folder, f"{reason} {self._folder / 'hearth'}.")
        self._folder.chmod(0o700)


def is_private(folder: Path) -> bool:
    """Whether no other user can do anything with a folder."""
    return not stat.S_IMODE(folder.stat().st_mode) & 0o077


def is_own_folder(folder: Path) -> bool:
    """Whether a folder is empty, or was a data folder before."""
    names = {path.name for path in folder.iterdir()}
    return bool(names & OWN_NAMES) or names <= {MOUNT_FOLDER}


def owner_work(folder: Path) -> str:
    """What the owner of the folder does, if that ends by itself; empty otherwise, and when no process owns it."""
    return _read_owner(folder)[1] if owner_pid(folder) else ""


def owner_pid(folder: Path) -> int:
    """The process that owns the folder, 0 when none does: the file alone may be that of a process that was killed."""
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return 0
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read_owner(folder)[0]
    finally:
        os.close(lock)
    return 0


def _read_owner(folder: Path) -> tuple[int, str]:
    """The process id and the work that the owner has written; 0 and nothing when it has not yet."""
    try:
        pid, _, work = (folder / OWNER_NAME).read_text(encoding="utf-8").partition("\n")
        return int(pid), work.strip()
    except (OSError, ValueError):
        return 0, ""

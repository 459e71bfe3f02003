"""Lock on the data folder, which one process owns, and the id of that process."""

import os
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_NAME = "hearth.lock"
OWNER_NAME = "hearth.pid"


@dataclass(eq=False)
class FolderInUse(Exception):
    """Another process owns the data folder; `pid` is 0 when it has not written it yet."""

    user_facing = True
    folder: Path
    pid: int

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else "another process"
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
    """Ownership of a data folder until `release`. The kernel releases it too when the process dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / LOCK_NAME, mode=0o600)

    def acquire(self) -> None:
        """Make the folder if need be, private to its user, and own it. Raises FolderInUse, FolderUnusable."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            self._lock.acquire(timeout=0)
            (self._folder / OWNER_NAME).write_text(f"{os.getpid()}\n", encoding="ascii")
        except Timeout as error:
            raise FolderInUse(self._folder, owner_pid(self._folder)) from error
        except OSError as error:
            raise FolderUnusable(self._folder, f"{error.strerror}.") from error

    def release(self) -> None:
        """Give the folder up."""
        if self._lock.is_locked:
            (self._folder / OWNER_NAME).unlink(missing_ok=True)
            self._lock.release()


def owner_pid(folder: Path) -> int:
    """The process that says it owns the folder, 0 when none does."""
    try:
        return int((folder / OWNER_NAME).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0

"""Shared state of one fetch of weights: progress, cancellation, locks, disk space, and its errors."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

FetchPhase = Literal["downloading", "unpacking", "checking"]

_REPORT_INTERVAL_S = 0.1
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """Progress of one file; `total_bytes` is 0 when unknown."""

    file: str
    phase: FetchPhase
    done_bytes: int
    total_bytes: int


@dataclass(eq=False)
class WeightsUnavailable(Exception):
    """The weights cannot be obtained; `reason` is a sentence that names the remedy."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


class FetchCancelled(Exception):
    """The fetch was cancelled; raised in the thread that runs it."""


class FetchJob:
    """State shared by the steps of a fetch. Used by one thread; `cancel` may be called from any."""

    def __init__(self, on_progress: Callable[[FetchProgress], None]) -> None:
        self._on_progress = on_progress
        self._cancelled = threading.Event()
        self._reported_at = 0.0

    def cancel(self) -> None:
        """Stop the fetch at its next step."""
        self._cancelled.set()

    def raise_if_cancelled(self) -> None:
        """Raise FetchCancelled if the fetch was cancelled."""
        if self._cancelled.is_set():
            raise FetchCancelled

    def report_progress(self, file: str, phase: FetchPhase, done_bytes: int, total_bytes: int) -> None:
        """Report progress, at most ten times a second but always the end. Raises FetchCancelled if cancelled."""
        self.raise_if_cancelled()
        now = time.monotonic()
        if now - self._reported_at >= _REPORT_INTERVAL_S or done_bytes >= total_bytes > 0:
            self._reported_at = now
            self._on_progress(FetchProgress(file, phase, done_bytes, total_bytes))

    @contextmanager
    def hold_lock(self, path: Path) -> Iterator[None]:
        """Hold a lock on the file `path` between threads and processes. Raises FetchCancelled if cancelled before."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(poll_interval=_POLL_S, cancel_check=self._cancelled.is_set)
        except Timeout as error:
            raise FetchCancelled from error
        try:
            yield
        finally:
            lock.release()


def require_disk_space(folder: Path, needed_bytes: int, action: str) -> None:
    """Raise WeightsUnavailable when the disk that holds `folder` has less than `needed_bytes` free."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise WeightsUnavailable(
            f"{action} needs {needed_bytes:,} bytes of disk space and {folder} has {free_bytes:,} free. "
            "Free some space, or choose another cache folder."
        )

"""Folder of snapshot files, within a byte budget and with a reserve of free disk space."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.llama.kv_cache.snapshot_file import (
    SnapshotHeader,
    SnapshotUnusable,
    read_snapshot,
    read_snapshot_header,
    write_snapshot,
)

_log = logging.getLogger(__name__)
_SUFFIX = ".kv"
# Other services of the home server write to the same disk.
_MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class SnapshotFolder:
    """Snapshots kept across restarts. `fingerprint` identifies the model and all settings that affect a state."""

    folder: Path
    fingerprint: bytes
    budget_bytes: int

    def scan_headers(self) -> Iterator[SnapshotHeader]:
        """Headers of this model's snapshots, the least recently used first; other files are deleted and logged."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in self.folder.glob(f"*{_SUFFIX}.writing"):
            unfinished.unlink(missing_ok=True)
        dropped: dict[str, int] = {}
        for path in sorted(self.folder.glob(f"*{_SUFFIX}"), key=_last_used):
            try:
                header = read_snapshot_header(path, self.fingerprint)
                if self._path(header.name) != path:
                    raise SnapshotUnusable("has another name than its content")
            except (SnapshotUnusable, OSError) as error:
                _delete_file(path)
                reason = str(error) if isinstance(error, SnapshotUnusable) else "cannot be read"
                dropped[reason] = dropped.get(reason, 0) + 1
            else:
                yield header
        for reason, count in dropped.items():
            _log.info("Dropped snapshots (%d), each of which %s; they will be computed again.", count, reason)

    def write_state(self, header: SnapshotHeader, state: memoryview) -> bool:
        """Write a snapshot; False when it exceeds the budget or the disk has no space for it. Raises OSError."""
        if header.state_bytes > self.budget_bytes:
            return False
        if shutil.disk_usage(self.folder).free < header.state_bytes + _MIN_FREE_BYTES:
            return False
        write_snapshot(self._path(header.name), self.fingerprint, header, state)
        return True

    def read_state(self, header: SnapshotHeader) -> memoryview:
        """The state of a snapshot, verified. Raises SnapshotUnusable, OSError."""
        found, state = read_snapshot(self._path(header.name), self.fingerprint)
        if found != header:
            raise SnapshotUnusable("was replaced by another one")
        return state

    def remove_state(self, header: SnapshotHeader) -> None:
        """Delete a snapshot."""
        _delete_file(self._path(header.name))

    def mark_used(self, header: SnapshotHeader) -> None:
        """Record the time of use in the file's timestamp, which survives a restart."""
        with suppress(OSError):
            os.utime(self._path(header.name))

    def _path(self, name: bytes) -> Path:
        return self.folder / f"{name.hex()}{_SUFFIX}"


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _delete_file(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("Could not delete a snapshot: %s.", error.strerror)

"""The folder of parked states: which files are in it, within a budget and never to the last byte of the disk."""

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
# The rest of the house writes to the same disk.
_MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class SnapshotFolder:
    """Where states are kept over restarts. `fingerprint` names the model and all settings that shape a state."""

    folder: Path
    fingerprint: bytes
    budget_bytes: int

    def scan_headers(self) -> Iterator[SnapshotHeader]:
        """What is there of this model, used longest ago first; everything else is dropped, with one log line."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in self.folder.glob(f"*{_SUFFIX}.writing"):
            unfinished.unlink(missing_ok=True)
        dropped: dict[str, int] = {}
        for path in sorted(self.folder.glob(f"*{_SUFFIX}"), key=_last_used):
            try:
                label = read_snapshot_header(path, self.fingerprint)
                if self._path(label.name) != path:
                    raise SnapshotUnusable("has another name than its content")
            except (SnapshotUnusable, OSError) as error:
                _remove(path)
                reason = str(error) if isinstance(error, SnapshotUnusable) else "cannot be read"
                dropped[reason] = dropped.get(reason, 0) + 1
            else:
                yield label
        for reason, count in dropped.items():
            _log.info("Dropped %d parked states: each %s. They will be computed again.", count, reason)

    def write_state(self, label: SnapshotHeader, state: memoryview) -> bool:
        """Keep a state; False when the disk has no room for it. Raises OSError."""
        if label.state_bytes > self.budget_bytes:
            return False
        if shutil.disk_usage(self.folder).free < label.state_bytes + _MIN_FREE_BYTES:
            return False
        write_snapshot(self._path(label.name), self.fingerprint, label, state)
        return True

    def read_state(self, label: SnapshotHeader) -> memoryview:
        """A state, checked. Raises SnapshotUnusable, OSError."""
        found, state = read_snapshot(self._path(label.name), self.fingerprint)
        if found != label:
            raise SnapshotUnusable("is another state than it was")
        return state

    def remove_state(self, label: SnapshotHeader) -> None:
        """Delete a state."""
        _remove(self._path(label.name))

    def mark_used(self, label: SnapshotHeader) -> None:
        """Remember over a restart that it was used just now."""
        with suppress(OSError):
            os.utime(self._path(label.name))

    def _path(self, name: bytes) -> Path:
        return self.folder / f"{name.hex()}{_SUFFIX}"


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("A parked state cannot be removed: %s.", error.strerror)

"""Folder of snapshot files, within a byte budget and with a reserve of free disk space."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.llama.kv_cache.cache_keys import CacheKey
from models.llama.kv_cache.snapshot_file import (
    SnapshotHeader,
    SnapshotUnusable,
    flush_folder,
    read_snapshot,
    read_snapshot_header,
    write_snapshot,
)

_log = logging.getLogger(__name__)
_SUFFIX = ".kv"
_UNFINISHED = f"{_SUFFIX}.writing"
# Other services of the home server write to the same disk.
_MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class SnapshotFolder:
    """Snapshots kept across restarts. `fingerprint` identifies the model and all settings that affect a state.

    Snapshots hold the texts of prompts, so those of API callers stay in memory unless `keeps_stateless`.
    """

    folder: Path
    fingerprint: bytes
    budget_bytes: int
    keeps_stateless: bool = False

    def accepts(self, cache_key: CacheKey) -> bool:
        """Whether snapshots of a key may be written."""
        return self.keeps_stateless or not cache_key.is_stateless

    def scan_headers(self) -> Iterator[SnapshotHeader]:
        """Headers of this model's snapshots, the least recently used first; other files are deleted and logged.

        Raises OSError.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for unfinished in self.folder.glob(f"*{_UNFINISHED}"):
            unfinished.unlink(missing_ok=True)
        dropped: dict[str, int] = {}
        for path in sorted(self.folder.glob(f"*{_SUFFIX}"), key=_last_used):
            try:
                header = read_snapshot_header(path, self.fingerprint)
                if self._path(header.name) != path:
                    raise SnapshotUnusable("has another name than its content")
                if not self.accepts(header.cache_key):
                    raise SnapshotUnusable("is of an API caller")
            except (SnapshotUnusable, OSError) as error:
                _delete_strange(path)
                reason = str(error) if isinstance(error, SnapshotUnusable) else "cannot be read"
                dropped[reason] = dropped.get(reason, 0) + 1
            else:
                path.chmod(0o600)  # older versions left it to the umask
                yield header
        if dropped:
            flush_folder(self.folder)
        for reason, count in dropped.items():
            _log.info("Dropped snapshots (%d), each of which %s; they will be computed again.", count, reason)

    def write_state(self, header: SnapshotHeader, state: memoryview) -> int:
        """Write a snapshot; returns the number of bytes written, 0 when it exceeds the budget or the disk has no space
        for it. Raises OSError.
        """
        if header.state_bytes > self.budget_bytes:
            return 0
        if shutil.disk_usage(self.folder).free < header.state_bytes + _MIN_FREE_BYTES:
            return 0
        return write_snapshot(self._path(header.name), self.fingerprint, header, state)

    def read_state(self, header: SnapshotHeader) -> memoryview:
        """The state of a snapshot, verified. Raises SnapshotUnusable, OSError."""
        found, state = read_snapshot(self._path(header.name), self.fingerprint)
        if found != header:
            raise SnapshotUnusable("was replaced by another one")
        return state

    def remove_state(self, header: SnapshotHeader) -> bool:
        """Delete a snapshot; False when its file cannot be deleted, which is logged."""
        try:
            self._path(header.name).unlink()
        except FileNotFoundError:
            return True
        except OSError as error:
            _log.warning("Could not delete a snapshot: %s.", error.strerror)
            return False
        flush_folder(self.folder)
        return True

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


def _delete_strange(path: Path) -> None:
    """Delete a file that is no snapshot of ours. Raises OSError: what cannot be deleted cannot be forgotten either."""
    if not path.is_dir():  # which holds no state
        path.unlink(missing_ok=True)


def delete_snapshots(folder: Path) -> None:
    """Delete all snapshots, of any model: for when none are to be kept. Raises OSError."""
    deleted = 0
    for path in (*folder.glob(f"*{_SUFFIX}"), *folder.glob(f"*{_UNFINISHED}")):
        path.unlink(missing_ok=True)
        deleted += 1
    if deleted:
        flush_folder(folder)
        _log.info("Deleted %d snapshots in %s: the settings keep none on disk.", deleted, folder)

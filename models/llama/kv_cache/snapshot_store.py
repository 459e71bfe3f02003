"""Two-tier LRU store of KV-cache snapshots: memory, then disk, each with a byte budget."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial

from models.llama.kv_cache.cache_keys import CacheKey
from models.llama.kv_cache.snapshot_file import SnapshotHeader, SnapshotUnusable
from models.llama.kv_cache.snapshot_folder import SnapshotFolder

_log = logging.getLogger(__name__)
# A conversation usually continues: its snapshot is written once it was idle for so long, not after every turn.
_WRITE_DELAY_S = 20.0

StateCallback = Callable[[memoryview | None], None]
DiskTask = Callable[[], None]


@dataclass(eq=False, slots=True)
class CachedSnapshot:
    """One snapshot: in memory, on disk, or both. `write_at` is in seconds of `time.monotonic`; None for no write."""

    header: SnapshotHeader
    state: memoryview | None = None
    on_disk: bool = False
    last_use: int = 0
    removed: bool = False
    write_at: float | None = None
    is_being_written: bool = False
    evict_after_write: bool = False
    waiters: list[StateCallback] = field(default_factory=list)


class SnapshotStore:
    """Callable from any thread; files are read and written on a dedicated thread, `snapshots`.

    `written_bytes` counts the bytes written to the disk.
    """

    def __init__(
        self,
        memory_bytes: int,
        folder: SnapshotFolder | None,
        write_delay_s: float = _WRITE_DELAY_S,
        *,
        has_unreachable_files: bool = False,
    ) -> None:
        """`has_unreachable_files`: there may be files of earlier runs that the store cannot delete."""
        self._memory_bytes = memory_bytes
        self._folder = folder
        self._write_delay_s = write_delay_s
        self._has_unreachable_files = has_unreachable_files
        self._changed = threading.Condition()
        self._entries: dict[bytes, CachedSnapshot] = {}
        self._deletions: list[DiskTask] = []
        self._undeleted: dict[bytes, SnapshotHeader] = {}
        self._uses = 0
        self._closing_at: float | None = None
        self._has_ended = folder is None
        self._warned_full = False
        self.written_bytes = 0
        for header in folder.scan_headers() if folder else ():
            self._entries[header.name] = CachedSnapshot(header, on_disk=True, last_use=self._next_use())
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        if folder:
            self._evict_from_disk()
            self._thread.start()

    def find_snapshots(self, cache_keys: Collection[CacheKey]) -> list[CachedSnapshot]:
        """All snapshots of these keys."""
        with self._changed:
            return [entry for entry in self._entries.values() if entry.header.cache_key in cache_keys]

    def put_snapshot(self, header: SnapshotHeader, state: memoryview) -> None:
        """Store a snapshot; it replaces one of the same name."""
        with self._changed:
            entry = CachedSnapshot(header, state, last_use=self._next_use())
            if self._folder and self._folder.accepts(header.cache_key):
                entry.write_at = time.monotonic() + self._write_delay_s
            if old := self._entries.pop(header.name, None):
                self._detach(old)
            self._entries[header.name] = entry
            self._evict_from_memory()
            self._changed.notify()

    def get_resident_state(self, entry: CachedSnapshot) -> memoryview | None:
        """The state of an entry if it is in memory, else None; counts as a use."""
        with self._changed:
            entry.last_use = self._next_use()
            return None if entry.removed else entry.state

    def fetch_state(self, entry: CachedSnapshot, on_state: StateCallback) -> None:
        """Read a state from the disk; `on_state`, called on any thread, gets it, or None when it is gone or damaged.

        `on_state` must not block or call methods of the store.
        """
        with self._changed:
            if entry.state is None and not entry.removed and self._closing_at is None:
                entry.waiters.append(on_state)
                self._changed.notify()
                return
            state = entry.state
        on_state(state)

    def drop_snapshot(self, entry: CachedSnapshot) -> None:
        """Remove a snapshot that is not usable."""
        with self._changed:
            if self._entries.get(entry.header.name) is entry:
                self._discard(entry)
            self._changed.notify()

    def drop_all_of(self, cache_key: CacheKey, on_deleted: Callable[[int | None], None]) -> None:
        """Remove all snapshots of a key, also after `close`; `on_deleted` gets their size in bytes once the files are
        deleted, or None when one of them may remain.
        """
        with self._changed:
            dropped = [entry for entry in self._entries.values() if cache_key.covers(entry.header.cache_key)]
            for entry in dropped:
                del self._entries[entry.header.name]
                self._detach(entry)
            size_bytes = sum(entry.header.state_bytes for entry in dropped)
            undeleted = [header for header in self._undeleted.values() if cache_key.covers(header.cache_key)]
            # Also of those that are not on disk: a write may be in progress.
            tasks: list[DiskTask] = [partial(self._delete, header) for header in undeleted]
            tasks += [partial(self._delete, entry.header) for entry in dropped]
            # Last in line: files that were evicted before are deleted by then, too.
            tasks.append(lambda: on_deleted(self._size_if_deleted(cache_key, size_bytes)))
            if not self._has_ended:
                self._deletions += tasks
                self._changed.notify()
                return
        for task in tasks if self._folder else tasks[-1:]:
            task()

    def _size_if_deleted(self, cache_key: CacheKey, size_bytes: int) -> int | None:
        with self._changed:
            remaining = any(cache_key.covers(header.cache_key) for header in self._undeleted.values())
        return None if remaining or self._has_unreachable_files else size_bytes

    @property
    def memory_used_bytes(self) -> int:
        """Size of all states in memory, in bytes."""
        with self._changed:
            return sum(entry.header.state_bytes for entry in self._entries.values() if entry.state is not None)

    def close(self, within_s: float) -> None:
        """Write snapshots that are not on disk yet, as far as the time allows, and end the thread."""
        with self._changed:
            self._closing_at = time.monotonic() + within_s
            self._changed.notify()
        if self._folder:
            self._thread.join(within_s + 0.2)

    # The following methods are called with the lock held.

    def _next_use(self) -> int:
        self._uses += 1
        return self._uses

    def _detach(self, entry: CachedSnapshot) -> None:
        """Mark an entry as removed from the index; callers waiting for its state get None."""
        entry.removed = True
        entry.state = None
        entry.write_at = None
        waiters, entry.waiters = entry.waiters, []
        for notify in waiters:
            notify(None)

    def _discard(self, entry: CachedSnapshot) -> None:
        del self._entries[entry.header.name]
        self._detach(entry)
        if self._folder:
            # Also when it is not on disk: a write may be in progress.
            self._deletions.append(partial(self._delete, entry.header))

    def _evict_from_memory(self) -> None:
        resident = sorted(
            (entry for entry in self._entries.values() if entry.state is not None), key=lambda each: each.last_use
        )
        excess_bytes = sum(entry.header.state_bytes for entry in resident) - self._memory_bytes
        unwritten_bytes = 0
        for entry in resident:
            if excess_bytes <= 0:
                return
            excess_bytes -= entry.header.state_bytes
            if entry.on_disk:
                entry.state = None
            elif entry.is_being_written:
                entry.evict_after_write = True
            elif entry.write_at is not None and unwritten_bytes < max(self._memory_bytes, entry.header.state_bytes):
                unwritten_bytes += entry.header.state_bytes
                entry.write_at, entry.evict_after_write = 0.0, True
            else:
                self._discard(entry)

    def _evict_from_disk(self) -> None:
        assert self._folder is not None
        on_disk_entries = sorted(
            (entry for entry in self._entries.values() if entry.on_disk), key=lambda each: each.last_use
        )
        excess_bytes = sum(entry.header.state_bytes for entry in on_disk_entries) - self._folder.budget_bytes
        for entry in on_disk_entries:
            if excess_bytes <= 0:
                return
            excess_bytes -= entry.header.state_bytes
            if entry.state is None:
                self._discard(entry)
            else:
                entry.on_disk = False
                self._deletions.append(partial(self._delete, entry.header))

    # The following methods run on the store's own thread.

    def _run(self) -> None:
        try:
            while (task := self._next_task()) is not None:
                task()
        finally:
            self._release_waiters()

    def _release_waiters(self) -> None:
        """Answer everything that waits for this thread, which ends: it will read nothing any more."""
        with self._changed:
            self._has_ended, self._closing_at = True, time.monotonic()
            waiters = [notify for entry in self._entries.values() for notify in entry.waiters]
            deletions, self._deletions = self._deletions, []
        for notify in waiters:
            notify(None)
        for task in deletions:
            task()

    def _next_task(self) -> Callable[[], None] | None:
        with self._changed:
            while True:
                now = time.monotonic()
                if self._deletions:
                    return self._deletions.pop(0)
                if requested := next((each for each in self._entries.values() if each.waiters), None):
                    return lambda: self._read(requested)
                unwritten_entries = [each for each in self._entries.values() if each.write_at is not None]
                if self._closing_at is not None and (not unwritten_entries or now >= self._closing_at):
                    self._has_ended = True
                    return None
                next_write = min(unwritten_entries, key=lambda each: each.write_at or 0.0, default=None)
                if next_write is None:
                    self._changed.wait()
                elif self._closing_at is not None or (next_write.write_at or 0.0) <= now:
                    return lambda: self._write(next_write)
                else:
                    self._changed.wait((next_write.write_at or 0.0) - now)

    def _delete(self, header: SnapshotHeader) -> None:
        assert self._folder is not None
        with self._changed:
            # A newer snapshot of the same name has overwritten the file, or will.
            current = self._entries.get(header.name)
        is_deleted = (current is not None and current.on_disk) or self._folder.remove_state(header)
        with self._changed:
            self._undeleted.pop(header.name, None)
            if not is_deleted:
                self._undeleted[header.name] = header

    def _read(self, entry: CachedSnapshot) -> None:
        assert self._folder is not None
        state: memoryview | None = None
        try:
            state = self._folder.read_state(entry.header)
            self._folder.mark_used(entry.header)
            self._mark_shared_used(entry.header)
        except SnapshotUnusable as error:
            _log.warning("Dropped a snapshot that %s; it will be computed again.", error)
        except OSError as error:
            _log.warning("Could not read a snapshot (%s); it is dropped and will be computed again.", error.strerror)
        except MemoryError:
            _log.warning("Could not read a snapshot: there is too little memory. It will be computed again.")
        with self._changed:
            waiters, entry.waiters = entry.waiters, []
            if state is None and self._entries.get(entry.header.name) is entry:
                self._discard(entry)
            elif not entry.removed:
                entry.state, entry.last_use = state, self._next_use()
                self._evict_from_memory()
        for notify in waiters:
            notify(state)

    def _mark_shared_used(self, header: SnapshotHeader) -> None:
        """Keep the snapshot of a system prompt longer than those that continue it."""
        assert self._folder is not None
        with self._changed:
            shared = self._entries.get(header.shared_name)
            if shared is None:
                return
            shared.last_use = self._next_use()
        self._folder.mark_used(shared.header)

    def _write(self, entry: CachedSnapshot) -> None:
        assert self._folder is not None
        with self._changed:
            state, entry.write_at = entry.state, None
            entry.is_being_written = state is not None
        if state is None:
            return
        written_bytes = 0
        try:
            written_bytes = self._folder.write_state(entry.header, state)
            self._mark_shared_used(entry.header)
            reason = "it is too large, or the disk is nearly full"
        except OSError as error:
            reason = error.strerror or str(error)
        except MemoryError:
            reason = "there is too little memory"
        written = written_bytes > 0
        self.written_bytes += written_bytes
        if not written and not self._warned_full:
            _log.warning("Could not write a snapshot to disk: %s.", reason)
        self._warned_full = not written
        with self._changed:
            entry.is_being_written = False
            current = self._entries.get(entry.header.name)
            if entry.removed and current is None and written:
                # First in line: whoever waits for the deletion of this key is told after it.
                self._deletions.insert(0, partial(self._delete, entry.header))
                return
            if entry.removed:
                return
            entry.on_disk = written
            if entry.evict_after_write:
                entry.state, entry.evict_after_write = None, False
                if not written:
                    self._discard(entry)
            self._evict_from_disk()

"""States that rest: in memory within a byte budget, then on disk within another; the longest unused go first."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from models.llama.kv_cache.cache_keys import CacheKey
from models.llama.kv_cache.snapshot_file import SnapshotHeader, SnapshotUnusable
from models.llama.kv_cache.snapshot_folder import SnapshotFolder

_log = logging.getLogger(__name__)
# A conversation goes on for a while: what it parks is written once it has been quiet for so long, not at every turn.
_QUIET_S = 20.0

StateCallback = Callable[[memoryview | None], None]


@dataclass(eq=False, slots=True)
class CachedSnapshot:
    """One parked state: in memory, on disk, or both."""

    header: SnapshotHeader
    state: memoryview | None = None
    on_disk: bool = False
    last_use: int = 0
    removed: bool = False
    write_at: float | None = None
    evict_after_write: bool = False
    waiters: list[StateCallback] = field(default_factory=list)


class SnapshotStore:
    """Callable from any thread; files are read and written on a thread of its own."""

    def __init__(self, memory_bytes: int, shelf: SnapshotFolder | None, quiet_s: float = _QUIET_S) -> None:
        self._memory_bytes = memory_bytes
        self._disk = shelf
        self._quiet_s = quiet_s
        self._changed = threading.Condition()
        self._entries: dict[bytes, CachedSnapshot] = {}
        self._deletions: list[tuple[SnapshotHeader, Callable[[], None]]] = []
        self._uses = 0
        self._closing_at: float | None = None
        self._warned_full = False
        for label in shelf.scan_headers() if shelf else ():
            self._entries[label.name] = CachedSnapshot(label, on_disk=True, last_use=self._next_use())
        self._thread = threading.Thread(target=self._run, name="parking", daemon=True)
        if shelf:
            self._evict_from_disk()
            self._thread.start()

    def find_snapshots(self, owners: Collection[CacheKey]) -> list[CachedSnapshot]:
        """All states that these owners may read."""
        with self._changed:
            return [entry for entry in self._entries.values() if entry.header.cache_key in owners]

    def put_snapshot(self, label: SnapshotHeader, state: memoryview) -> None:
        """Park a state in place of what has the same name."""
        with self._changed:
            entry = CachedSnapshot(label, state, last_use=self._next_use())
            if self._disk:
                entry.write_at = time.monotonic() + self._quiet_s
            if old := self._entries.pop(label.name, None):
                self._detach(old)
            self._entries[label.name] = entry
            self._evict_from_memory()
            self._changed.notify()

    def get_resident_state(self, entry: CachedSnapshot) -> memoryview | None:
        """The state of an entry that is in memory; it counts as used now."""
        with self._changed:
            entry.last_use = self._next_use()
            return None if entry.removed else entry.state

    def fetch_state(self, entry: CachedSnapshot, then: StateCallback) -> None:
        """Read a state from the disk; `then`, called on any thread, gets it, or None when it is gone or damaged.

        `then` must not block and not call back.
        """
        with self._changed:
            if entry.state is None and not entry.removed and self._closing_at is None:
                entry.waiters.append(then)
                self._changed.notify()
                return
            state = entry.state
        then(state)

    def drop_snapshot(self, entry: CachedSnapshot) -> None:
        """Remove a state that is of no use."""
        with self._changed:
            if self._entries.get(entry.header.name) is entry:
                self._discard(entry)
            self._changed.notify()

    def drop_all_of(self, owner: CacheKey, done: Callable[[int], None]) -> None:
        """Remove all states of an owner; `done` is called with their bytes once the files are gone."""
        with self._changed:
            own = [entry for entry in self._entries.values() if entry.header.cache_key == owner]
            for entry in own:
                self._discard(entry)
            size = sum(entry.header.state_bytes for entry in own)
            if own and self._disk:
                self._deletions.append((own[0].header, lambda: done(size)))
                self._changed.notify()
                return
        done(size)

    @property
    def memory_used_bytes(self) -> int:
        """Bytes of all states in memory."""
        with self._changed:
            return sum(entry.header.state_bytes for entry in self._entries.values() if entry.state is not None)

    def close(self, within_s: float) -> None:
        """Write what is not on disk yet, as far as the time allows, and end the thread."""
        with self._changed:
            self._closing_at = time.monotonic() + within_s
            self._changed.notify()
        if self._disk:
            self._thread.join(within_s + 0.2)

    # From here on: with the lock held.

    def _next_use(self) -> int:
        self._uses += 1
        return self._uses

    def _detach(self, entry: CachedSnapshot) -> None:
        """The entry is no longer in the index: whoever waits for it waits in vain."""
        entry.removed = True
        entry.state = None
        entry.write_at = None
        told, entry.waiters = entry.waiters, []
        for tell in told:
            tell(None)

    def _discard(self, entry: CachedSnapshot) -> None:
        del self._entries[entry.header.name]
        self._detach(entry)
        if self._disk:
            # Also when it is not on disk: it may be being written right now.
            self._deletions.append((entry.header, lambda: None))

    def _evict_from_memory(self) -> None:
        held = sorted(
            (entry for entry in self._entries.values() if entry.state is not None), key=lambda each: each.last_use
        )
        excess = sum(entry.header.state_bytes for entry in held) - self._memory_bytes
        unwritten = 0
        for entry in held:
            if excess <= 0:
                return
            excess -= entry.header.state_bytes
            if entry.on_disk:
                entry.state = None
            elif entry.write_at is not None and unwritten < max(self._memory_bytes, entry.header.state_bytes):
                unwritten += entry.header.state_bytes
                entry.write_at, entry.evict_after_write = 0.0, True
            else:
                self._discard(entry)

    def _evict_from_disk(self) -> None:
        assert self._disk is not None
        stored = sorted((entry for entry in self._entries.values() if entry.on_disk), key=lambda each: each.last_use)
        excess = sum(entry.header.state_bytes for entry in stored) - self._disk.budget_bytes
        for entry in stored:
            if excess <= 0:
                return
            excess -= entry.header.state_bytes
            if entry.state is None:
                self._discard(entry)
            else:
                entry.on_disk = False
                self._deletions.append((entry.header, lambda: None))

    # From here on: on the thread of its own.

    def _run(self) -> None:
        while (task := self._next_task()) is not None:
            task()

    def _next_task(self) -> Callable[[], None] | None:
        with self._changed:
            while True:
                now = time.monotonic()
                if self._deletions:
                    label, then = self._deletions.pop(0)
                    return lambda: self._delete(label, then)
                if wanted := next((each for each in self._entries.values() if each.waiters), None):
                    return lambda: self._read(wanted)
                due = [each for each in self._entries.values() if each.write_at is not None]
                if self._closing_at is not None and (not due or now >= self._closing_at):
                    return None
                first = min(due, key=lambda each: each.write_at or 0.0, default=None)
                if first is None:
                    self._changed.wait()
                elif self._closing_at is not None or (first.write_at or 0.0) <= now:
                    return lambda: self._write(first)
                else:
                    self._changed.wait((first.write_at or 0.0) - now)

    def _delete(self, label: SnapshotHeader, then: Callable[[], None]) -> None:
        assert self._disk is not None
        with self._changed:
            # A newer state of the same name has overwritten the file, or will.
            current = self._entries.get(label.name)
        if current is None or not current.on_disk:
            self._disk.remove_state(label)
        then()

    def _read(self, entry: CachedSnapshot) -> None:
        assert self._disk is not None
        state: memoryview | None = None
        try:
            state = self._disk.read_state(entry.header)
            self._disk.mark_used(entry.header)
        except SnapshotUnusable as error:
            _log.warning("A parked state %s; it is dropped and computed again.", error)
        except OSError as error:
            _log.warning("A parked state cannot be read (%s); it is dropped and computed again.", error.strerror)
        with self._changed:
            told, entry.waiters = entry.waiters, []
            if state is None and self._entries.get(entry.header.name) is entry:
                self._discard(entry)
            elif not entry.removed:
                entry.state, entry.last_use = state, self._next_use()
                self._evict_from_memory()
        for tell in told:
            tell(state)

    def _write(self, entry: CachedSnapshot) -> None:
        assert self._disk is not None
        with self._changed:
            state, entry.write_at = entry.state, None
        if state is None:
            return
        written = False
        try:
            written = self._disk.write_state(entry.header, state)
            reason = "it is too large, or the disk is nearly full"
        except OSError as error:
            reason = error.strerror or str(error)
        if not written and not self._warned_full:
            _log.warning("A conversation's state cannot be written to the disk: %s.", reason)
        self._warned_full = not written
        with self._changed:
            current = self._entries.get(entry.header.name)
            if entry.removed and current is None and written:
                self._deletions.append((entry.header, lambda: None))
                return
            if entry.removed:
                return
            entry.on_disk = written
            if entry.evict_after_write:
                entry.state, entry.evict_after_write = None, False
                if not written:
                    self._discard(entry)
            self._evict_from_disk()

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from models.engine import STATELESS_PREFIX
from models.llama.kv_cache.cache_keys import ALL_STATELESS, SHARED, CacheKey, cache_key_of, new_snapshot_name
from models.llama.kv_cache.snapshot_file import SnapshotHeader
from models.llama.kv_cache.snapshot_folder import SnapshotFolder, delete_snapshots
from models.llama.kv_cache.snapshot_store import CachedSnapshot, SnapshotStore

_MODEL = b"m" * 16
_SIZE = 1000
_A, _B, _C = (cache_key_of(name) for name in ("a", "b", "c"))


def _snapshot_folder(folder: Path, budget: int = 100 * _SIZE, model: bytes = _MODEL) -> SnapshotFolder:
    return SnapshotFolder(folder, model, budget)


def _put_snapshot(store: SnapshotStore, cache_key: CacheKey, fill: int = 1) -> None:
    store.put_snapshot(
        SnapshotHeader(new_snapshot_name(cache_key), cache_key, [fill, 2, 3], _SIZE),
        memoryview(bytearray([fill]) * _SIZE),
    )


def _find_entry(store: SnapshotStore, cache_key: CacheKey) -> CachedSnapshot | None:
    return next(iter(store.find_snapshots((cache_key,))), None)


def _fetch(store: SnapshotStore, cache_key: CacheKey) -> memoryview | None:
    entry = _find_entry(store, cache_key)
    assert entry is not None
    fetched = threading.Event()
    states: list[memoryview | None] = []

    def then(state: memoryview | None) -> None:
        states.append(state)
        fetched.set()

    store.fetch_state(entry, then)
    assert fetched.wait(5)
    return states[0]


def _until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


def test_a_state_is_kept_for_its_owner_alone() -> None:
    store = SnapshotStore(10 * _SIZE, None)
    _put_snapshot(store, _A, 7)
    entry = _find_entry(store, _A)
    assert entry is not None
    assert store.get_resident_state(entry) == bytes([7]) * _SIZE
    assert _find_entry(store, _B) is None


def test_a_conversation_has_one_state_and_a_caller_without_conversations_many() -> None:
    store = SnapshotStore(10 * _SIZE, None)
    caller = cache_key_of("stateless:key")
    for cache_key in (_A, caller, SHARED):
        _put_snapshot(store, cache_key, 1)
        _put_snapshot(store, cache_key, 2)
    assert [len(store.find_snapshots((cache_key,))) for cache_key in (_A, caller, SHARED)] == [1, 2, 2]


def test_without_a_disk_what_was_used_longest_ago_leaves_memory_for_good() -> None:
    store = SnapshotStore(2 * _SIZE, None)
    _put_snapshot(store, _A)
    _put_snapshot(store, _B)
    entry = _find_entry(store, _A)
    assert entry is not None
    store.get_resident_state(entry)
    _put_snapshot(store, _C)
    assert [_find_entry(store, cache_key) is not None for cache_key in (_A, _B, _C)] == [True, False, True]
    assert store.memory_used_bytes == 2 * _SIZE


def test_what_leaves_memory_goes_to_disk_and_comes_back(tmp_path: Path) -> None:
    store = SnapshotStore(_SIZE, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A, 1)
    _put_snapshot(store, _B, 2)
    _until(lambda: store.memory_used_bytes <= _SIZE)
    assert _fetch(store, _A) == bytes([1]) * _SIZE
    _until(lambda: store.memory_used_bytes <= _SIZE)
    store.close(1)


def test_a_state_larger_than_the_memory_budget_can_still_be_fetched(tmp_path: Path) -> None:
    store = SnapshotStore(0, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A, 1)
    _until(lambda: store.memory_used_bytes == 0)
    assert _fetch(store, _A) == bytes([1]) * _SIZE
    store.close(1)


def test_a_quiet_conversation_is_written_without_being_asked(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path), write_delay_s=0.01)
    _put_snapshot(store, _A)
    _until(lambda: len(list(tmp_path.glob("*.kv"))) == 1)
    store.close(1)


def test_closing_writes_what_is_not_on_disk_and_the_next_start_finds_it(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A, 1)
    _put_snapshot(store, _B, 2)
    store.close(1)
    reopened = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path))
    assert _fetch(reopened, _B) == bytes([2]) * _SIZE
    assert _find_entry(reopened, _C) is None
    reopened.close(1)


def test_the_disk_budget_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    store = SnapshotStore(0, _snapshot_folder(tmp_path, budget=2 * _SIZE))
    for cache_key in (_A, _B, _C):
        _put_snapshot(store, cache_key)
        _until(lambda: store.memory_used_bytes == 0)
    _until(lambda: len(list(tmp_path.glob("*.kv"))) == 2)
    assert [_find_entry(store, cache_key) is not None for cache_key in (_A, _B, _C)] == [False, True, True]
    store.close(1)


def test_order_of_use_outlives_a_restart(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path))
    for cache_key in (_A, _B, _C):
        _put_snapshot(store, cache_key)
    store.close(1)
    for age, cache_key in enumerate((_B, _C, _A)):
        os.utime(tmp_path / f"{cache_key.digest.hex()}.kv", (1_000_000 + age,) * 2)
    reopened = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path, budget=_SIZE))
    assert [_find_entry(reopened, cache_key) is not None for cache_key in (_A, _B, _C)] == [True, False, False]
    reopened.close(1)


def test_forgetting_removes_an_owners_states_everywhere_and_no_others(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path), write_delay_s=0.0)
    _put_snapshot(store, _A)
    _put_snapshot(store, _B)
    _until(lambda: len(list(tmp_path.glob("*.kv"))) == 2)
    deleted_bytes: list[int | None] = []
    store.drop_all_of(_A, deleted_bytes.append)
    _until(lambda: deleted_bytes == [_SIZE])
    assert _find_entry(store, _A) is None
    assert [path.stem for path in tmp_path.glob("*.kv")] == [_B.digest.hex()]
    store.drop_all_of(_A, deleted_bytes.append)
    _until(lambda: deleted_bytes == [_SIZE, 0])
    store.close(1)


def test_a_damaged_state_is_dropped_with_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = SnapshotStore(0, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A)
    _until(lambda: store.memory_used_bytes == 0)
    (file,) = tmp_path.glob("*.kv")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with caplog.at_level(logging.WARNING):
        assert _fetch(store, _A) is None
    assert _find_entry(store, _A) is None
    assert [record.message for record in caplog.records] == [
        "Dropped a snapshot that is damaged; it will be computed again."
    ]
    _until(lambda: not list(tmp_path.glob("*.kv")))
    store.close(1)


def test_a_file_that_was_taken_away_is_dropped(tmp_path: Path) -> None:
    store = SnapshotStore(0, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A)
    _until(lambda: store.memory_used_bytes == 0)
    (file,) = tmp_path.glob("*.kv")
    file.unlink()
    assert _fetch(store, _A) is None
    store.close(1)


def test_states_of_another_model_and_strange_files_are_dropped_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A)
    _put_snapshot(store, _B)
    store.close(1)
    (tmp_path / "strange.kv").write_bytes(b"what is this")
    (tmp_path / "half.kv.writing").write_bytes(b"half")
    with caplog.at_level(logging.INFO):
        reopened = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path, model=b"n" * 16))
    assert len(caplog.records) == 2
    assert _find_entry(reopened, _A) is None
    assert list(tmp_path.iterdir()) == []
    reopened.close(1)


def test_a_folder_that_cannot_be_written_costs_no_state_that_fits_into_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "parked"
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(folder), write_delay_s=0.0)
    folder.rmdir()
    with caplog.at_level(logging.WARNING):
        _put_snapshot(store, _A)
        _put_snapshot(store, _B)
        _until(lambda: bool(caplog.records))
    entry = _find_entry(store, _A)
    assert entry is not None
    assert store.get_resident_state(entry) is not None
    store.close(1)
    assert len(caplog.records) == 1


def test_a_newer_state_replaces_the_file_of_the_older(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path), write_delay_s=0.0)
    _put_snapshot(store, _A, 1)
    _until(lambda: len(list(tmp_path.glob("*.kv"))) == 1)
    _put_snapshot(store, _A, 2)
    store.close(1)
    reopened = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path))
    assert _fetch(reopened, _A) == bytes([2]) * _SIZE
    reopened.close(1)


def test_waiting_for_a_state_that_is_replaced_or_forgotten_ends(tmp_path: Path) -> None:
    store = SnapshotStore(0, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A)
    _until(lambda: store.memory_used_bytes == 0)
    entry = _find_entry(store, _A)
    assert entry is not None
    store.drop_all_of(_A, lambda _: None)
    states: list[memoryview | None] = []
    store.fetch_state(entry, states.append)
    assert states == [None]
    store.close(1)


class _Starved(SnapshotFolder):
    """A folder whose states are larger than the memory that is left, or that fails in a way nobody foresaw."""

    errors: ClassVar[list[Exception]] = []

    def read_state(self, header: SnapshotHeader) -> memoryview:
        for error in self.errors:
            raise error
        return SnapshotFolder.read_state(self, header)


def _written(folder: SnapshotFolder) -> SnapshotStore:
    """A store with three states on disk alone."""
    store = SnapshotStore(10 * _SIZE, folder)
    for cache_key in (_A, _B, _C):
        _put_snapshot(store, cache_key)
    store.close(1)
    return SnapshotStore(10 * _SIZE, folder)


def test_a_state_for_which_memory_is_short_is_a_state_not_found(tmp_path: Path) -> None:
    folder = _Starved(tmp_path, _MODEL, 100 * _SIZE)
    store = _written(folder)
    folder.errors[:] = [MemoryError()]
    assert _fetch(store, _A) is None
    folder.errors.clear()
    assert _fetch(store, _B) is not None
    store.close(1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_leaves_nobody_waiting(tmp_path: Path) -> None:
    folder = _Starved(tmp_path, _MODEL, 100 * _SIZE)
    store = _written(folder)
    folder.errors[:] = [ZeroDivisionError()]
    assert _fetch(store, _A) is None
    folder.errors.clear()
    store._thread.join(5)
    assert _fetch(store, _B) is None
    store.close(1)


def test_who_owns_what_follows_from_the_key() -> None:
    assert cache_key_of("a") == _A != _B
    assert cache_key_of("a").is_conversation
    assert not cache_key_of("stateless:a").is_conversation
    assert cache_key_of("stateless:a") != cache_key_of("stateless:b")


_CALLER, _OTHER_CALLER = cache_key_of(f"{STATELESS_PREFIX}api:a"), cache_key_of(f"{STATELESS_PREFIX}api:b")


def test_states_of_api_callers_stay_in_memory(tmp_path: Path) -> None:
    store = SnapshotStore(_SIZE, _snapshot_folder(tmp_path), write_delay_s=0.0)
    _put_snapshot(store, _CALLER)
    assert len(store.find_snapshots((_CALLER,))) == 1
    _put_snapshot(store, _A)
    _put_snapshot(store, _OTHER_CALLER)
    store.close(1)
    assert [path.stem for path in tmp_path.iterdir()] == [_A.digest.hex()]


def test_states_of_api_callers_are_kept_on_disk_only_where_the_settings_say_so(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, replace(_snapshot_folder(tmp_path), keeps_stateless=True))
    _put_snapshot(store, _CALLER)
    store.close(1)
    assert len(list(tmp_path.iterdir())) == 1
    reopened = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path))
    assert _find_entry(reopened, _CALLER) is None
    reopened.close(1)
    assert list(tmp_path.iterdir()) == []


def test_all_api_callers_are_dropped_together_and_nobody_else(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, replace(_snapshot_folder(tmp_path), keeps_stateless=True), write_delay_s=0.0)
    for cache_key in (_CALLER, _CALLER, _OTHER_CALLER, SHARED, _A):
        _put_snapshot(store, cache_key)
    _until(lambda: len(list(tmp_path.glob("*.kv"))) == 5)
    dropped: list[int | None] = []
    store.drop_all_of(ALL_STATELESS, dropped.append)
    _until(lambda: dropped == [3 * _SIZE])
    store.close(1)
    assert len(list(tmp_path.glob("*.kv"))) == 2
    assert _find_entry(store, SHARED) is not None
    assert _find_entry(store, _A) is not None


def test_files_of_states_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A)
    store.close(1)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path)).close(1)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_closed_store_still_drops(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A)
    _put_snapshot(store, _B)
    store.close(5)
    dropped: list[int | None] = []
    store.drop_all_of(_A, dropped.append)
    _until(lambda: dropped == [_SIZE])
    assert [path.stem for path in tmp_path.iterdir()] == [_B.digest.hex()]


@pytest.mark.parametrize("how", ["evicted", "being written"])
def test_a_key_is_dropped_when_files_that_had_left_the_store_before_are_gone_too(tmp_path: Path, how: str) -> None:
    held, released = threading.Event(), threading.Event()

    class SlowFolder(SnapshotFolder):
        def remove_state(self, header: SnapshotHeader) -> bool:
            if how == "evicted":
                held.set()
                released.wait(60)
            return super().remove_state(header)

        def write_state(self, header: SnapshotHeader, state: memoryview) -> int:
            if how == "being written" and header.cache_key == _A:
                held.set()
                released.wait(60)
            return super().write_state(header, state)

    store = SnapshotStore(0, SlowFolder(tmp_path, _MODEL, _SIZE), write_delay_s=0.0)
    file, dropped = tmp_path / f"{_A.digest.hex()}.kv", []
    _put_snapshot(store, _A)
    if how == "evicted":
        _until(file.exists)
        _put_snapshot(store, _B)
    assert held.wait(60)
    store.drop_all_of(_A, lambda size: dropped.append((size is not None, file.exists())))
    assert dropped == []
    released.set()
    _until(lambda: dropped == [(True, False)])
    store.close(5)
    assert not file.exists()


def test_a_state_whose_file_cannot_be_deleted_is_told_and_tried_again(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path), write_delay_s=0.0)
    _put_snapshot(store, _A)
    file = tmp_path / f"{_A.digest.hex()}.kv"
    _until(lambda: bool(store._entries[_A.digest].on_disk))
    file.unlink()
    file.mkdir()  # which nothing unlinks, not even root
    dropped: list[int | None] = []
    store.drop_all_of(_A, dropped.append)
    _until(lambda: dropped == [None])
    store.drop_all_of(_A, dropped.append)
    _until(lambda: dropped == [None, None])
    file.rmdir()
    store.drop_all_of(_A, dropped.append)
    _until(lambda: dropped == [None, None, 0])
    store.close(1)


def test_a_store_beside_files_that_it_cannot_reach_promises_nothing() -> None:
    store = SnapshotStore(10 * _SIZE, None, has_unreachable_files=True)
    _put_snapshot(store, _A)
    dropped: list[int | None] = []
    store.drop_all_of(_A, dropped.append)
    assert dropped == [None]
    assert _find_entry(store, _A) is None


def test_without_states_on_disk_those_of_earlier_runs_are_deleted(tmp_path: Path) -> None:
    store = SnapshotStore(10 * _SIZE, _snapshot_folder(tmp_path))
    _put_snapshot(store, _A)
    store.close(1)
    (tmp_path / "half.kv.writing").write_bytes(b"half")
    (tmp_path / "readme.txt").write_text("mine")
    delete_snapshots(tmp_path)
    delete_snapshots(tmp_path / "nothing here")
    assert [path.name for path in tmp_path.iterdir()] == ["readme.txt"]


def test_a_state_that_leaves_the_memory_while_it_is_written_stays_on_disk(tmp_path: Path) -> None:
    began, may_end = threading.Event(), threading.Event()

    class WaitingFolder(SnapshotFolder):
        def write_state(self, header: SnapshotHeader, state: memoryview) -> int:
            began.set()
            assert may_end.wait(60)
            return SnapshotFolder.write_state(self, header, state)

    store = SnapshotStore(_SIZE, WaitingFolder(tmp_path, _MODEL, 100 * _SIZE), write_delay_s=0.0)
    _put_snapshot(store, _A, 1)
    assert began.wait(60)
    _put_snapshot(store, _CALLER, 2)  # there is memory for one
    may_end.set()
    _until(lambda: store.memory_used_bytes == _SIZE)
    assert _fetch(store, _A) == bytes([1]) * _SIZE
    store.close(1)

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from models.llama.kv_cache.cache_keys import SHARED, CacheKey, cache_key_of, new_snapshot_name
from models.llama.kv_cache.snapshot_file import SnapshotHeader
from models.llama.kv_cache.snapshot_folder import SnapshotFolder
from models.llama.kv_cache.snapshot_store import CachedSnapshot, SnapshotStore

_MODEL = b"m" * 16
_SIZE = 1000
_A, _B, _C = (cache_key_of(name) for name in ("a", "b", "c"))


def _shelf(folder: Path, budget: int = 100 * _SIZE, model: bytes = _MODEL) -> SnapshotFolder:
    return SnapshotFolder(folder, model, budget)


def _keep(parked: SnapshotStore, owner: CacheKey, fill: int = 1) -> None:
    parked.put_snapshot(
        SnapshotHeader(new_snapshot_name(owner), owner, [fill, 2, 3], _SIZE), memoryview(bytearray([fill]) * _SIZE)
    )


def _entry(parked: SnapshotStore, owner: CacheKey) -> CachedSnapshot | None:
    return next(iter(parked.find_snapshots((owner,))), None)


def _fetched(parked: SnapshotStore, owner: CacheKey) -> memoryview | None:
    entry = _entry(parked, owner)
    assert entry is not None
    come = threading.Event()
    got: list[memoryview | None] = []

    def then(state: memoryview | None) -> None:
        got.append(state)
        come.set()

    parked.fetch_state(entry, then)
    assert come.wait(5)
    return got[0]


def _until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


def test_a_state_is_kept_for_its_owner_alone() -> None:
    parked = SnapshotStore(10 * _SIZE, None)
    _keep(parked, _A, 7)
    entry = _entry(parked, _A)
    assert entry is not None
    assert parked.get_resident_state(entry) == bytes([7]) * _SIZE
    assert _entry(parked, _B) is None


def test_a_conversation_has_one_state_and_a_caller_without_conversations_many() -> None:
    parked = SnapshotStore(10 * _SIZE, None)
    caller = cache_key_of("stateless:key")
    for owner in (_A, caller, SHARED):
        _keep(parked, owner, 1)
        _keep(parked, owner, 2)
    assert [len(parked.find_snapshots((owner,))) for owner in (_A, caller, SHARED)] == [1, 2, 2]


def test_without_a_disk_what_was_used_longest_ago_leaves_memory_for_good() -> None:
    parked = SnapshotStore(2 * _SIZE, None)
    _keep(parked, _A)
    _keep(parked, _B)
    entry = _entry(parked, _A)
    assert entry is not None
    parked.get_resident_state(entry)
    _keep(parked, _C)
    assert [_entry(parked, owner) is not None for owner in (_A, _B, _C)] == [True, False, True]
    assert parked.memory_used_bytes == 2 * _SIZE


def test_what_leaves_memory_goes_to_disk_and_comes_back(tmp_path: Path) -> None:
    parked = SnapshotStore(_SIZE, _shelf(tmp_path))
    _keep(parked, _A, 1)
    _keep(parked, _B, 2)
    _until(lambda: parked.memory_used_bytes <= _SIZE)
    assert _fetched(parked, _A) == bytes([1]) * _SIZE
    _until(lambda: parked.memory_used_bytes <= _SIZE)
    parked.close(1)


def test_a_state_larger_than_the_memory_budget_can_still_be_fetched(tmp_path: Path) -> None:
    parked = SnapshotStore(0, _shelf(tmp_path))
    _keep(parked, _A, 1)
    _until(lambda: parked.memory_used_bytes == 0)
    assert _fetched(parked, _A) == bytes([1]) * _SIZE
    parked.close(1)


def test_a_quiet_conversation_is_written_without_being_asked(tmp_path: Path) -> None:
    parked = SnapshotStore(10 * _SIZE, _shelf(tmp_path), quiet_s=0.01)
    _keep(parked, _A)
    _until(lambda: len(list(tmp_path.glob("*.kv"))) == 1)
    parked.close(1)


def test_closing_writes_what_is_not_on_disk_and_the_next_start_finds_it(tmp_path: Path) -> None:
    parked = SnapshotStore(10 * _SIZE, _shelf(tmp_path))
    _keep(parked, _A, 1)
    _keep(parked, _B, 2)
    parked.close(1)
    again = SnapshotStore(10 * _SIZE, _shelf(tmp_path))
    assert _fetched(again, _B) == bytes([2]) * _SIZE
    assert _entry(again, _C) is None
    again.close(1)


def test_the_disk_budget_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    parked = SnapshotStore(0, _shelf(tmp_path, budget=2 * _SIZE))
    for owner in (_A, _B, _C):
        _keep(parked, owner)
        _until(lambda: parked.memory_used_bytes == 0)
    _until(lambda: len(list(tmp_path.glob("*.kv"))) == 2)
    assert [_entry(parked, owner) is not None for owner in (_A, _B, _C)] == [False, True, True]
    parked.close(1)


def test_order_of_use_outlives_a_restart(tmp_path: Path) -> None:
    parked = SnapshotStore(10 * _SIZE, _shelf(tmp_path))
    for owner in (_A, _B, _C):
        _keep(parked, owner)
    parked.close(1)
    for age, owner in enumerate((_B, _C, _A)):
        os.utime(tmp_path / f"{owner.digest.hex()}.kv", (1_000_000 + age,) * 2)
    again = SnapshotStore(10 * _SIZE, _shelf(tmp_path, budget=_SIZE))
    assert [_entry(again, owner) is not None for owner in (_A, _B, _C)] == [True, False, False]
    again.close(1)


def test_forgetting_removes_an_owners_states_everywhere_and_no_others(tmp_path: Path) -> None:
    parked = SnapshotStore(10 * _SIZE, _shelf(tmp_path), quiet_s=0.0)
    _keep(parked, _A)
    _keep(parked, _B)
    _until(lambda: len(list(tmp_path.glob("*.kv"))) == 2)
    told: list[int] = []
    parked.drop_all_of(_A, told.append)
    _until(lambda: told == [_SIZE])
    assert _entry(parked, _A) is None
    assert [path.stem for path in tmp_path.glob("*.kv")] == [_B.digest.hex()]
    parked.drop_all_of(_A, told.append)
    assert told == [_SIZE, 0]
    parked.close(1)


def test_a_damaged_state_is_dropped_with_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parked = SnapshotStore(0, _shelf(tmp_path))
    _keep(parked, _A)
    _until(lambda: parked.memory_used_bytes == 0)
    (file,) = tmp_path.glob("*.kv")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with caplog.at_level(logging.WARNING):
        assert _fetched(parked, _A) is None
    assert _entry(parked, _A) is None
    assert [record.message for record in caplog.records] == [
        "A parked state is damaged; it is dropped and computed again."
    ]
    _until(lambda: not list(tmp_path.glob("*.kv")))
    parked.close(1)


def test_a_file_that_was_taken_away_is_dropped(tmp_path: Path) -> None:
    parked = SnapshotStore(0, _shelf(tmp_path))
    _keep(parked, _A)
    _until(lambda: parked.memory_used_bytes == 0)
    (file,) = tmp_path.glob("*.kv")
    file.unlink()
    assert _fetched(parked, _A) is None
    parked.close(1)


def test_states_of_another_model_and_strange_files_are_dropped_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parked = SnapshotStore(10 * _SIZE, _shelf(tmp_path))
    _keep(parked, _A)
    _keep(parked, _B)
    parked.close(1)
    (tmp_path / "strange.kv").write_bytes(b"what is this")
    (tmp_path / "half.kv.writing").write_bytes(b"half")
    with caplog.at_level(logging.INFO):
        again = SnapshotStore(10 * _SIZE, _shelf(tmp_path, model=b"n" * 16))
    assert len(caplog.records) == 2
    assert _entry(again, _A) is None
    assert list(tmp_path.iterdir()) == []
    again.close(1)


def test_a_folder_that_cannot_be_written_costs_no_state_that_fits_into_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "parked"
    parked = SnapshotStore(10 * _SIZE, _shelf(folder), quiet_s=0.0)
    folder.rmdir()
    with caplog.at_level(logging.WARNING):
        _keep(parked, _A)
        _keep(parked, _B)
        _until(lambda: bool(caplog.records))
    entry = _entry(parked, _A)
    assert entry is not None
    assert parked.get_resident_state(entry) is not None
    parked.close(1)
    assert len(caplog.records) == 1


def test_a_newer_state_replaces_the_file_of_the_older(tmp_path: Path) -> None:
    parked = SnapshotStore(10 * _SIZE, _shelf(tmp_path), quiet_s=0.0)
    _keep(parked, _A, 1)
    _until(lambda: len(list(tmp_path.glob("*.kv"))) == 1)
    _keep(parked, _A, 2)
    parked.close(1)
    again = SnapshotStore(10 * _SIZE, _shelf(tmp_path))
    assert _fetched(again, _A) == bytes([2]) * _SIZE
    again.close(1)


def test_waiting_for_a_state_that_is_replaced_or_forgotten_ends(tmp_path: Path) -> None:
    parked = SnapshotStore(0, _shelf(tmp_path))
    _keep(parked, _A)
    _until(lambda: parked.memory_used_bytes == 0)
    entry = _entry(parked, _A)
    assert entry is not None
    parked.drop_all_of(_A, lambda _: None)
    got: list[memoryview | None] = []
    parked.fetch_state(entry, got.append)
    assert got == [None]
    parked.close(1)


def test_who_owns_what_follows_from_the_key() -> None:
    assert cache_key_of("a") == _A != _B
    assert cache_key_of("a").is_conversation
    assert not cache_key_of("stateless:a").is_conversation
    assert cache_key_of("stateless:a") != cache_key_of("stateless:b")

import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.llama.kv_cache.cache_keys import cache_key_of
from models.llama.kv_cache.snapshot_file import (
    SnapshotHeader,
    SnapshotUnusable,
    read_snapshot,
    read_snapshot_header,
    write_snapshot,
)

_CACHE_KEY = cache_key_of("discord:1")
_STATE = memoryview(random.Random(1).randbytes(5000))
_HEADER = SnapshotHeader(_CACHE_KEY.digest, _CACHE_KEY, [1, 2, 49151, 7], len(_STATE))
_MODEL, _ANOTHER = b"m" * 16, b"n" * 16


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "state.kv"
    write_snapshot(path, _MODEL, _HEADER, _STATE)
    return path


@contextmanager
def _file_size_limit(size_bytes: int) -> Iterator[None]:
    """A system limit on the size of files, which has the effect of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_written_is_read_back(file: Path) -> None:
    assert read_snapshot_header(file, _MODEL) == _HEADER
    header, state = read_snapshot(file, _MODEL)
    assert header == _HEADER
    assert state == _STATE
    assert list(file.parent.iterdir()) == [file]


def test_a_flip_of_any_byte_is_noticed(file: Path) -> None:
    content = file.read_bytes()
    chosen = random.Random(2)
    offsets = [*range(100), *(chosen.randrange(len(content)) for _ in range(200))]
    for offset in offsets:
        damaged = bytearray(content)
        damaged[offset] ^= 1 << chosen.randrange(8)
        file.write_bytes(damaged)
        with pytest.raises(SnapshotUnusable):
            read_snapshot(file, _MODEL)


@pytest.mark.parametrize("length", [0, 1, 60, 91, 92, 100, 107, 108, 2000, 5107])
def test_a_file_that_was_cut_off_is_noticed(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])
    for read in (read_snapshot_header, read_snapshot):
        with pytest.raises(SnapshotUnusable):
            read(file, _MODEL)


def test_a_file_with_something_behind_it_is_noticed(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(SnapshotUnusable, match="cut off or damaged"):
        read_snapshot_header(file, _MODEL)


def test_a_state_of_another_model_is_refused(file: Path) -> None:
    for read in (read_snapshot_header, read_snapshot):
        with pytest.raises(SnapshotUnusable, match="another model"):
            read(file, _ANOTHER)


def test_a_disk_that_fills_up_while_writing_leaves_what_was_there(file: Path) -> None:
    before = file.read_bytes()
    with _file_size_limit(1000), pytest.raises(OSError, match="large"):
        write_snapshot(file, _MODEL, SnapshotHeader(_CACHE_KEY.digest, _CACHE_KEY, [5], len(_STATE)), _STATE)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_the_conversations_name_is_not_in_the_file(file: Path) -> None:
    assert b"discord" not in file.read_bytes()

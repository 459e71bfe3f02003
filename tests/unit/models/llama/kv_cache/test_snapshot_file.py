import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.llama.kv_cache.cache_keys import SHARED, CacheKey, cache_key_of
from models.llama.kv_cache.snapshot_file import (
    SnapshotHeader,
    SnapshotUnusable,
    read_snapshot,
    read_snapshot_header,
    write_snapshot,
)
from tests.fakes.kv_state import make_state

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


@pytest.mark.parametrize("length", [0, 1, 60, 99, 100, 131, 132, 2000, 5131, 5132, 5150])
def test_a_file_that_was_cut_off_is_noticed(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])
    for read in (read_snapshot_header, read_snapshot):
        with pytest.raises(SnapshotUnusable):
            read(file, _MODEL)


def test_what_a_crash_left_behind_the_file_is_ignored_and_goes_with_the_next_snapshot(file: Path) -> None:
    size = file.stat().st_size
    file.write_bytes(file.read_bytes() + b"x" * 1000)
    assert read_snapshot(file, _MODEL) == (_HEADER, _STATE)
    write_snapshot(file, _MODEL, _HEADER, _STATE)
    assert file.stat().st_size == size


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


def _snapshot(tokens: int, seed: int = 1, **kind: Any) -> tuple[SnapshotHeader, memoryview]:
    state = memoryview(make_state(tokens, seed, **kind))
    return SnapshotHeader(_CACHE_KEY.digest, _CACHE_KEY, [seed * 1000 + n for n in range(tokens)], len(state)), state


_KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"is_transposed": False},
    {"window": 40},
    {"window": 40, "is_transposed": False, "sequence": 1},
)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_state_that_grows_is_written_once_and_read_back_after_each_turn(tmp_path: Path, kind: dict[str, Any]) -> None:
    path, written_bytes = tmp_path / "state.kv", 0
    for turn in range(1, 21):
        header, state = _snapshot(100 * turn, **kind)
        written_bytes += write_snapshot(path, _MODEL, header, state)
        assert read_snapshot(path, _MODEL) == (header, state)
        assert path.stat().st_size < 1.3 * len(state)
    whole_bytes = len(make_state(2000, **{**kind, "window": 2000 if kind.get("window") else 0}))
    assert written_bytes < 1.1 * whole_bytes


def test_a_conversation_that_lost_a_message_leaves_nothing_of_it_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.kv"
    write_snapshot(path, _MODEL, *_snapshot(300))
    write_snapshot(path, _MODEL, *_snapshot(200))
    lost = make_state(300)[-500:]
    assert read_snapshot(path, _MODEL) == _snapshot(200)
    assert lost[-12:] not in path.read_bytes()
    write_snapshot(path, _MODEL, *_snapshot(300, seed=2))
    assert read_snapshot(path, _MODEL) == _snapshot(300, seed=2)
    assert path.stat().st_size < len(make_state(300)) + 4000


@pytest.mark.parametrize("other", ["key", "model"])
def test_the_file_of_another_key_or_model_is_not_continued(tmp_path: Path, other: str) -> None:
    path = tmp_path / "state.kv"
    write_snapshot(path, _MODEL, *_snapshot(100))
    header, state = _snapshot(150)
    model = _MODEL
    if other == "key":
        header = SnapshotHeader(header.name, cache_key_of("discord:2"), header.tokens, header.state_bytes)
    else:
        model = _ANOTHER
    assert write_snapshot(path, model, header, state) > len(state)
    assert read_snapshot(path, model) == (header, state)


def test_a_crash_at_any_moment_leaves_the_snapshot_before_or_the_new_one(tmp_path: Path) -> None:
    path, before, after = tmp_path / "state.kv", _snapshot(100), _snapshot(150)
    write_snapshot(path, _MODEL, *before)
    old = path.read_bytes()
    write_snapshot(path, _MODEL, *after)
    new = path.read_bytes()
    # The header is written once everything else is on the disk: before that, any part of the rest may be there.
    for end in random.Random(3).sample(range(132, len(new)), 50):
        path.write_bytes(old[:132] + new[132:end] + old[end:])
        assert read_snapshot(path, _MODEL) == before
        write_snapshot(path, _MODEL, *after)
        assert read_snapshot(path, _MODEL) == after


def test_a_disk_that_fills_up_while_a_file_is_continued_leaves_the_snapshot_before(tmp_path: Path) -> None:
    path, before = tmp_path / "state.kv", _snapshot(100)
    write_snapshot(path, _MODEL, *before)
    with _file_size_limit(path.stat().st_size + 1000), pytest.raises(OSError, match="large"):
        write_snapshot(path, _MODEL, *_snapshot(200))
    assert read_snapshot(path, _MODEL) == before


def test_the_conversations_name_is_not_in_the_file(file: Path) -> None:
    assert b"discord" not in file.read_bytes()


_SHARED_NAME = b"s" * 16


def _shared_snapshot(folder: Path, cache_key: CacheKey = SHARED) -> Path:
    """The snapshot of a system prompt of 100 tokens, in its file."""
    path, (header, state) = folder / f"{_SHARED_NAME.hex()}.kv", _snapshot(100)
    write_snapshot(path, _MODEL, SnapshotHeader(_SHARED_NAME, cache_key, header.tokens, header.state_bytes), state)
    return path


def _after_system_prompt(tokens: int) -> tuple[SnapshotHeader, memoryview]:
    header, state = _snapshot(tokens)
    return replace(header, shared_name=_SHARED_NAME), state


def test_the_system_prompts_cells_are_stored_once_for_all_conversations(tmp_path: Path) -> None:
    path, shared_path = tmp_path / "state.kv", _shared_snapshot(tmp_path)
    first, second = _after_system_prompt(150), _after_system_prompt(190)
    for snapshot, new_tokens in ((first, 50), (second, 40)):
        assert write_snapshot(path, _MODEL, *snapshot) < len(make_state(new_tokens)) + 4000
        assert read_snapshot(path, _MODEL) == snapshot
    shared_path.unlink()
    with pytest.raises(SnapshotUnusable, match="whose snapshot is gone"):
        read_snapshot(path, _MODEL)
    write_snapshot(path, _MODEL, *_snapshot(190))
    assert read_snapshot(path, _MODEL) == _snapshot(190)


def test_another_conversations_file_is_never_part_of_a_snapshot(tmp_path: Path) -> None:
    _shared_snapshot(tmp_path, cache_key_of("discord:2"))
    header, state = _after_system_prompt(150)
    assert write_snapshot(tmp_path / "state.kv", _MODEL, header, state) > len(state)

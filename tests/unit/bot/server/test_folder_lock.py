"""One process owns the data folder."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.server.folder_lock import FolderInUse, FolderLock, FolderUnusable, owner_pid

HOLD = """
import sys
from pathlib import Path
from bot.server.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]), *sys.argv[2:])
lock.acquire()
print("owned", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "data"


def test_the_folder_is_made_and_private_to_its_user(folder: Path) -> None:
    lock = FolderLock(folder)
    lock.acquire()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert owner_pid(folder) == os.getpid()
    lock.release()


@pytest.mark.parametrize("content", [[], ["lost+found/"], ["hearth.lock", "history.sqlite3"]])
def test_a_folder_of_its_own_is_closed_to_others(folder: Path, content: list[str]) -> None:
    folder.mkdir(parents=True, mode=0o755)
    for name in content:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).touch()
    lock = FolderLock(folder)
    lock.acquire()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    lock.release()


def test_a_folder_that_others_use_is_refused_and_left_as_it_is(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "config.yaml").touch()
    with pytest.raises(FolderUnusable, match="Give Hearth a folder of its own"):
        FolderLock(folder).acquire()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]


def test_a_private_folder_with_other_things_in_it_is_used(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config.yaml").touch()
    lock = FolderLock(folder)
    lock.acquire()
    lock.release()


def test_a_process_that_was_killed_owns_nothing(folder: Path) -> None:
    with _holding(folder) as holder:
        assert owner_pid(folder) == holder.pid
        holder.kill()
        holder.wait()
    assert (folder / "hearth.pid").exists()
    assert owner_pid(folder) == 0


def test_asking_for_the_owner_keeps_nobody_from_owning(folder: Path) -> None:
    lock = FolderLock(folder)
    lock.acquire()
    lock.release()
    for _ in range(20):
        assert owner_pid(folder) == 0
        lock.acquire()
        assert owner_pid(folder) == os.getpid()
        lock.release()


def test_work_that_ends_by_itself_is_told_to_those_who_have_to_wait(folder: Path) -> None:
    with (
        _holding(folder, "indexing documents"),
        pytest.raises(FolderInUse, match="which is indexing documents") as caught,
    ):
        FolderLock(folder).acquire()
    assert caught.value.work == "indexing documents"


@contextmanager
def _holding(folder: Path, work: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Another process that owns the folder, until the end of the context."""
    command = [sys.executable, "-c", HOLD, str(folder), work]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"owned\n"
        yield holder
        holder.kill()


def test_a_second_process_is_told_the_first_ones_id_until_that_one_dies(folder: Path) -> None:
    with _holding(folder) as holder:
        with pytest.raises(FolderInUse, match=f"process {holder.pid}"):
            FolderLock(folder).acquire()
        holder.kill()
        holder.wait()
    lock = FolderLock(folder)
    lock.acquire()
    lock.release()


def test_a_released_folder_has_no_owner(folder: Path) -> None:
    lock = FolderLock(folder)
    lock.acquire()
    lock.release()
    lock.release()
    assert owner_pid(folder) == 0
    again = FolderLock(folder)
    again.acquire()
    again.release()


def test_a_file_in_the_folders_place_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(FolderUnusable, match="cannot be used"):
        FolderLock(tmp_path / "data").acquire()

"""One process owns the data folder."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bot.server.folder_lock import FolderInUse, FolderLock, FolderUnusable, owner_pid

HOLD = """
import sys
from pathlib import Path
from bot.server.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
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


def test_a_folder_open_to_others_is_closed_to_them(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o755)
    lock = FolderLock(folder)
    lock.acquire()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    lock.release()


def test_a_second_process_is_told_the_first_ones_id_until_that_one_dies(folder: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"owned\n"
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

"""Private folders and files."""

import stat
from pathlib import Path

from adapters.storage.private_file import make_private_folder, write_private_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_and_its_missing_parents_are_closed_and_the_others_stay_as_they_are(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path / "data" / "matrix")
    assert (mode(tmp_path), mode(tmp_path / "data"), mode(tmp_path / "data" / "matrix")) == (0o755, 0o700, 0o700)


def test_a_folder_that_is_there_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path)
    assert mode(tmp_path) == 0o700


def test_a_file_is_closed_and_so_are_the_folders_that_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "data" / "state.json"
    write_private_file(file, b"{}")
    assert (file.read_bytes(), mode(file), mode(file.parent)) == (b"{}", 0o600, 0o700)

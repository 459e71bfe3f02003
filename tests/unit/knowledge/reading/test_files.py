import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from knowledge.loaders.types import LoadLimits
from knowledge.reader import FileUnreadable
from knowledge.reading.files import open_below, read_file


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/sub").mkdir(parents=True)
    (tmp_path / "home/a.md").write_text("inside")
    (tmp_path / "home/sub/b.md").write_text("below")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.md").write_text("SECRET")
    (tmp_path / "outside/b.md").write_text("SECRET")
    return tmp_path / "home"


def test_files_of_the_folder_are_read_also_by_links_in_it(home: Path) -> None:
    (home / "link.md").symlink_to(home / "sub/b.md")
    (home / "up.md").symlink_to("sub/../a.md")
    documents = ("a.md", "sub/b.md", "link.md", "up.md")
    assert [read_file(str(home), each, LoadLimits()).data for each in documents] == [
        b"inside",
        b"below",
        b"below",
        b"inside",
    ]


def test_a_folder_that_is_itself_a_link_is_opened(home: Path) -> None:
    (home.parent / "link").symlink_to(home)
    assert read_file(str(home.parent / "link"), "a.md", LoadLimits()).data == b"inside"


@pytest.mark.parametrize("document", ["link.md", "tunnel/a.md", "../outside/a.md", "climb.md"])
def test_nothing_outside_of_the_folder_is_opened(home: Path, document: str) -> None:
    (home / "link.md").symlink_to(home.parent / "outside/a.md")
    (home / "climb.md").symlink_to("../outside/a.md")
    (home / "tunnel").symlink_to(home.parent / "outside")
    with pytest.raises(FileUnreadable, match="a link to a place outside the folder"):
        open_below(home, document)


def swap_file(home: Path) -> None:
    (home / "sub/b.md").unlink()
    (home / "sub/b.md").symlink_to(home.parent / "outside/b.md")


def swap_folder(home: Path) -> None:
    (home / "sub").rename(home / "was")
    (home / "sub").symlink_to(home.parent / "outside")


@pytest.mark.parametrize("swap", [swap_file, swap_folder])
def test_a_link_put_in_place_after_the_path_was_resolved_leads_nowhere(
    home: Path, swap: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.path.realpath

    def realpath(path: str | Path) -> str:
        resolved = real(path)
        if resolved == str(home / "sub/b.md"):
            swap(home)
        return resolved

    monkeypatch.setattr(os.path, "realpath", realpath)
    with pytest.raises(FileUnreadable, match="A link was put in its place"):
        open_below(home, "sub/b.md")


def test_what_is_no_file_is_refused_at_once(home: Path) -> None:
    os.mkfifo(home / "pipe.md")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(home / "socket.md"))
        for document in ("pipe.md", "socket.md"):
            with pytest.raises(FileUnreadable, match="a pipe, a socket or a device"):
                open_below(home, document)
    with pytest.raises(FileUnreadable, match="a folder, not a file"):
        open_below(home, "sub")
    with pytest.raises(FileUnreadable, match="is gone"):
        open_below(home, "gone.md")


def test_no_descriptor_is_left_open(home: Path) -> None:
    os.mkfifo(home / "pipe.md")
    before = len(list(Path("/dev/fd").iterdir()))
    for document in ("pipe.md", "sub", "gone.md", "sub/gone.md", "a.md/b.md"):
        with pytest.raises(FileUnreadable):
            open_below(home, document)
    with open_below(home, "sub/b.md"):
        pass
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_of_a_log_above_the_limit_the_end_is_read(home: Path) -> None:
    (home / "boiler.log").write_bytes(bytes(range(100)) * 10)
    raw = read_file(str(home), "boiler.log", LoadLimits(file_bytes=100))
    assert (raw.skipped_bytes, raw.data) == (912, bytes(range(12, 100)))
    (home / "boiler.md").write_bytes(bytes(1000))
    with pytest.raises(FileUnreadable, match="split it"):
        read_file(str(home), "boiler.md", LoadLimits(file_bytes=100))


def test_a_log_within_the_limit_that_grows_while_it_is_opened_is_not_read_without_end(home: Path) -> None:
    (home / "boiler.log").write_bytes(bytes(100))
    raw = read_file(str(home), "boiler.log", LoadLimits(file_bytes=100))
    assert (raw.skipped_bytes, len(raw.data)) == (0, 100)

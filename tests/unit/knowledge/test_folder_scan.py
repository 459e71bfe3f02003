import os
from pathlib import Path

import pytest
import xxhash

from knowledge.folder_scan import FolderScan, FolderUnreadable, content_hash, scan_folder


def lay(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")


def documents(scanned: FolderScan) -> list[str]:
    return [file.document for file in scanned.files]


def test_files_come_sorted_with_forward_slashes_and_what_tells_them_apart(tmp_path: Path) -> None:
    lay(tmp_path, "b.md", "a/z.txt", "a/b/c.html", "A.csv")
    found = scan_folder(tmp_path)
    assert documents(found) == ["A.csv", "a/b/c.html", "a/z.txt", "b.md"]
    status = (tmp_path / "b.md").stat()
    last = found.files[-1]
    assert (last.size_bytes, last.mtime_ns, last.inode) == (status.st_size, status.st_mtime_ns, status.st_ino)
    assert last.path.read_text() == "content of b.md"
    assert found.unreadable == ()


def test_hidden_files_junk_and_kinds_nobody_reads_are_left_out(tmp_path: Path) -> None:
    junk = ["~$report.md", "b.md~", "c.txt.part", "Thumbs.db", "node_modules/x/readme.md", "@eaDir/photo.txt"]
    lay(tmp_path, "a.md", ".hidden.md", ".git/readme.md", "photo.jpg", *junk)
    assert documents(scan_folder(tmp_path)) == ["a.md"]


def test_an_include_pattern_that_names_a_kind_takes_it_and_one_of_stars_only_known_kinds(tmp_path: Path) -> None:
    lay(tmp_path, "a.md", "b.xyz", "c.jpg", "notes/d.md")
    assert documents(scan_folder(tmp_path, include=["**/*"])) == ["a.md", "notes/d.md"]
    assert documents(scan_folder(tmp_path, include=["*.xyz"])) == ["b.xyz"]
    assert documents(scan_folder(tmp_path, include=["notes/**", "*.xyz"])) == ["b.xyz", "notes/d.md"]


def test_an_exclude_pattern_wins_and_keeps_out_of_whole_folders(tmp_path: Path) -> None:
    lay(tmp_path, "a.md", "private/b.md", "private/deep/c.md", "old/d.md", "deep/old/e.md")
    assert documents(scan_folder(tmp_path, include=["*.md"], exclude=["private/**", "old"])) == ["a.md"]


def test_links_are_followed_to_files_inside_the_folder_only(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    lay(home, "a.md", "sub/b.md")
    lay(outside, "secret.md", "more/secret.md")
    (home / "inside.md").symlink_to(home / "a.md")
    (home / "leak.md").symlink_to(outside / "secret.md")
    (home / "climb.md").symlink_to("../outside/secret.md")
    (home / "tunnel").symlink_to(outside)
    (home / "loop").symlink_to(home)
    (home / "broken.md").symlink_to(home / "gone.md")
    assert documents(scan_folder(home)) == ["a.md", "inside.md", "sub/b.md"]


def test_a_folder_that_is_itself_a_link_is_scanned(tmp_path: Path) -> None:
    lay(tmp_path / "real", "a.md")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert documents(scan_folder(tmp_path / "link")) == ["a.md"]


def test_pipes_and_sockets_are_left_out(tmp_path: Path) -> None:
    lay(tmp_path, "a.md")
    os.mkfifo(tmp_path / "pipe.md")
    assert documents(scan_folder(tmp_path)) == ["a.md"]


def test_a_missing_folder_is_named_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FolderUnreadable, match=r"nowhere does not exist"):
        scan_folder(tmp_path / "nowhere")


def test_a_file_given_as_folder_is_named_in_a_sentence(tmp_path: Path) -> None:
    lay(tmp_path, "a.md")
    with pytest.raises(FolderUnreadable, match=r"a\.md is a file, not a folder"):
        scan_folder(tmp_path / "a.md")


def test_a_folder_that_cannot_be_listed_is_missed_and_the_rest_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, "a.md", "locked/b.md", "open/c.md")
    _forbid(monkeypatch, tmp_path / "locked")
    found = scan_folder(tmp_path)
    assert documents(found) == ["a.md", "open/c.md"]
    assert [(missed.document, missed.reason) for missed in found.unreadable] == [
        ("locked/", "The folder cannot be read: Permission denied.")
    ]


def test_a_collection_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _forbid(monkeypatch, tmp_path)
    with pytest.raises(FolderUnreadable, match="may not be read by this user"):
        scan_folder(tmp_path)


def test_a_name_that_is_not_utf8_is_missed_with_a_sentence(tmp_path: Path) -> None:
    lay(tmp_path, "a.md")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.md")).write_text("x")
    found = scan_folder(tmp_path)
    assert documents(found) == ["a.md"]
    assert [(missed.document, "rename it" in missed.reason) for missed in found.unreadable] == [("caf?.md", True)]


def test_the_content_hash_is_xxh3_128_whatever_the_size(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(data)
    assert content_hash(tmp_path / "large") == xxhash.xxh3_128_hexdigest(data)


def _forbid(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Deny a folder: its mode would not stop the superuser, who runs the tests in containers."""
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)

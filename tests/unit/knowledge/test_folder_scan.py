import os
from pathlib import Path

import pytest
import xxhash

from knowledge import folder_scan
from knowledge.folder_scan import FolderScan, FolderUnreadable, content_hash, scan_folder, scan_steps
from knowledge.reader import FileUnreadable


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
    assert (last.folder / last.document).read_text() == "content of b.md"
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


def test_a_file_in_place_of_a_folder_is_the_only_document_whatever_its_kind(tmp_path: Path) -> None:
    lay(tmp_path, "a.xyz", "b.md")
    found = scan_folder(tmp_path / "a.xyz", include=["*.md"])
    assert [(file.folder, file.document, file.size_bytes) for file in found.files] == [(tmp_path, "a.xyz", 16)]
    (tmp_path / "a.xyz").unlink()
    with pytest.raises(FolderUnreadable, match=r"a\.xyz does not exist"):
        scan_folder(tmp_path / "a.xyz")


def test_a_device_in_place_of_a_folder_is_named_in_a_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FolderUnreadable, match="pipe is neither a folder nor a file"):
        scan_folder(tmp_path / "pipe")


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
    assert content_hash(tmp_path, "large") == xxhash.xxh3_128_hexdigest(data)


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.md")
    with pytest.raises(FileUnreadable, match="a pipe, a socket or a device"):
        content_hash(tmp_path, "a.md")


def test_a_file_swapped_for_a_link_after_the_scan_is_not_read(tmp_path: Path) -> None:
    lay(tmp_path / "home", "a.md")
    lay(tmp_path / "outside", "secret.md")
    (file,) = scan_folder(tmp_path / "home").files
    (tmp_path / "home/a.md").unlink()
    (tmp_path / "home/a.md").symlink_to(tmp_path / "outside/secret.md")
    with pytest.raises(FileUnreadable, match="outside the folder"):
        content_hash(file.folder, file.document)


def left_out(scanned: FolderScan) -> dict[tuple[str, str], int]:
    return {(entry.cause, entry.name): count for entry, count in scanned.left_out.items()}


def test_files_of_kinds_that_are_not_read_are_counted(tmp_path: Path) -> None:
    lay(tmp_path, "a.md", "b.xyz", "sub/c.XYZ", "d.abc", "private/e.xyz", "Makefile")
    assert left_out(scan_folder(tmp_path, exclude=["private/"])) == {
        ("kind", ".xyz"): 2,
        ("kind", ".abc"): 1,
        ("kind", ""): 1,
    }
    assert left_out(scan_folder(tmp_path, include=["*.md"])) == {}
    assert left_out(scan_folder(tmp_path, include=["sub/**"])) == {("kind", ".xyz"): 1}


def test_what_the_rules_for_junk_leave_out_is_counted_by_rule(tmp_path: Path) -> None:
    lay(tmp_path, "a.md", ".git/x.md", ".b.md", "node_modules/x/y.md", "code/NODE_MODULES/z.md", "target.md", "c.bak")
    found = scan_folder(tmp_path)
    assert documents(found) == ["a.md", "target.md"]
    assert left_out(found) == {
        ("junk", ".*"): 2,
        ("junk", "node_modules/"): 2,
        ("junk", "*.{tmp,temp,swp,part,crdownload,bak}"): 1,
    }


def test_the_rules_for_junk_can_be_changed(tmp_path: Path) -> None:
    lay(tmp_path, "a.md", ".obsidian/b.md", "vendor/c.md", "old/drafts/d.md", "drafts/e.md")
    found = scan_folder(tmp_path, junk=["old/drafts/"])
    assert documents(found) == [".obsidian/b.md", "a.md", "drafts/e.md", "vendor/c.md"]
    assert left_out(found) == {("junk", "old/drafts/"): 1}


def test_links_that_lead_elsewhere_are_named(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    lay(home, "a.md", "sub/b.md")
    lay(outside, "manual.md")
    (home / "sub/manuals").symlink_to(outside)
    (home / "leak.md").symlink_to(outside / "manual.md")
    (home / "broken.md").symlink_to(home / "gone.md")
    (home / "loop").symlink_to(home)
    (home / "excluded").symlink_to(outside)
    os.mkfifo(home / "pipe.md")
    assert left_out(scan_folder(home, exclude=["excluded"])) == {
        ("link", "sub/manuals/"): 1,
        ("link", "leak.md"): 1,
        ("link", "broken.md"): 1,
        ("special", ""): 1,
    }


def test_of_very_many_links_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    for number in range(450):
        (tmp_path / f"home/{number}.md").symlink_to(tmp_path / "gone.md")
    found = left_out(scan_folder(tmp_path / "home"))
    assert (len(found), found["link", ""], sum(found.values())) == (51, 400, 450)


def test_names_with_accents_match_however_they_are_written(tmp_path: Path) -> None:
    composed, decomposed = "\u00e9t\u00e9", "e\u0301te\u0301"
    lay(tmp_path, f"{composed}.md", f"{decomposed}.txt", f"alt/{decomposed}/x.md", f"junk{decomposed}/y.md")
    found = scan_folder(tmp_path, include=[f"{{{decomposed},none}}.*"], junk=[f"junk{composed}/"])
    assert documents(found) == [f"{decomposed}.txt", f"{composed}.md"]
    assert left_out(found)["junk", f"junk{composed}/"] == 1


def test_mounted_file_systems_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "a.md", "share/b.md", "share/deep/c.md", "plain/d.md")
    real = folder_scan._list_folder

    def list_folder(folder: Path) -> tuple[int, list[str], list[os.DirEntry[str]]]:
        device, folders, files = real(folder)
        return device + (tmp_path / "share" in (folder, *folder.parents)), folders, files

    monkeypatch.setattr(folder_scan, "_list_folder", list_folder)
    assert scan_folder(tmp_path).mounts == {"share/"}


def test_a_scan_goes_in_steps_of_bounded_size(tmp_path: Path) -> None:
    lay(tmp_path, *(f"{number}.md" for number in range(450)))
    assert [len(step.found) for step in scan_steps(tmp_path)] == [200, 200, 50]


def _forbid(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Deny a folder: its mode would not stop the superuser, who runs the tests in containers."""
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)

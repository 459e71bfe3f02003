import os
from pathlib import Path

import pytest

from knowledge import change_detection
from knowledge.change_detection import ExaminedFile, examine_files, find_removed
from knowledge.folder_scan import FolderScan, UnreadableEntry, scan_folder
from knowledge.store.index_writer import IndexedFile

RECIPE = "-r1"


def known(examined: ExaminedFile) -> dict[str, IndexedFile]:
    facts = examined.facts
    return {facts.path: IndexedFile(1, facts.path, facts.size_bytes, facts.mtime_ns, facts.inode, facts.hash, 1)}


def look(folder: Path, before: dict[str, IndexedFile] | None = None, recipe: str = RECIPE) -> ExaminedFile:
    (examined,) = examine_files(scan_folder(folder).files, before or {}, recipe)
    return examined


def test_a_new_file_is_not_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    assert not look(tmp_path).is_unchanged


def test_the_same_content_is_unchanged_even_if_it_was_written_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    before = known(look(tmp_path))
    assert look(tmp_path, before).is_unchanged
    assert not look(tmp_path, before).is_touched
    (tmp_path / "b.txt").write_text("one")
    (tmp_path / "b.txt").rename(tmp_path / "a.txt")
    assert look(tmp_path, before).is_unchanged
    assert look(tmp_path, before).is_touched


def test_other_content_of_the_same_size_and_time_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    before = known(look(tmp_path))
    time_ns = before["a.txt"].mtime_ns
    (tmp_path / "a.txt").write_text("two")
    os.utime(tmp_path / "a.txt", ns=(time_ns, time_ns))
    assert not look(tmp_path, before).is_unchanged


def test_another_way_of_reading_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    assert not look(tmp_path, known(look(tmp_path)), recipe="-r2").is_unchanged


def test_a_file_that_failed_before_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    failed = IndexedFile(1, "a.txt", 0, 0, 0, "", 0)
    assert not look(tmp_path, {"a.txt": failed}).is_unchanged


def test_a_large_file_with_the_same_size_time_and_inode_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("one")
    before = known(look(tmp_path))
    monkeypatch.setattr(change_detection, "ALWAYS_HASHED_BYTES", 2)
    monkeypatch.setattr(change_detection, "content_hash", lambda path: pytest.fail("it was read"))
    assert look(tmp_path, before).is_unchanged


def test_a_file_that_vanished_since_the_scan_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    files = scan_folder(tmp_path).files
    (tmp_path / "a.txt").unlink()
    first, second = examine_files(files, {}, RECIPE)
    assert first.failure == "The file cannot be read: No such file or directory."
    assert not second.failure


def test_what_lies_below_an_unreadable_folder_is_not_gone() -> None:
    before = {path: IndexedFile(1, path, 1, 1, 1, "x", 1) for path in ("a.txt", "shut/b.txt", "shut.txt", "c.txt")}
    missed = FolderScan((), (UnreadableEntry("shut/", "no"), UnreadableEntry("c.txt", "no")))
    assert [file.path for file in find_removed(before, missed)] == ["a.txt", "shut.txt"]

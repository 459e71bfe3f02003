import os
from dataclasses import replace
from pathlib import Path

import pytest

from knowledge import change_detection
from knowledge.change_detection import ExaminedFile, MissingFiles, examine_files, find_missing
from knowledge.folder_scan import FolderScan, UnreadableEntry, scan_folder
from knowledge.loaders.types import LoadLimits
from knowledge.store.index_writer import IndexedFile

RECIPE = "-r1"


def known(examined: ExaminedFile) -> dict[str, IndexedFile]:
    facts = examined.facts
    return {facts.path: IndexedFile(1, facts.path, facts.size_bytes, facts.mtime_ns, facts.inode, facts.hash, 1)}


def look(folder: Path, before: dict[str, IndexedFile] | None = None, recipe: str = RECIPE) -> ExaminedFile:
    (examined,) = examine_files(scan_folder(folder).files, before or {}, recipe, LoadLimits())
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
    monkeypatch.setattr(change_detection, "content_hash", lambda *_: pytest.fail("it was read"))
    assert look(tmp_path, before).is_unchanged


def test_a_file_that_vanished_since_the_scan_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    files = scan_folder(tmp_path).files
    (tmp_path / "a.txt").unlink()
    first, second = examine_files(files, {}, RECIPE, LoadLimits())
    assert first.failure == "The file is gone."
    assert not second.failure


def test_a_file_above_the_limit_is_not_read_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("more than ten bytes")
    monkeypatch.setattr(change_detection, "content_hash", lambda *_: pytest.fail("it was read"))
    (examined,) = examine_files(scan_folder(tmp_path).files, {}, RECIPE, LoadLimits(file_bytes=10))
    assert "the limit is" in examined.failure


def test_a_log_above_the_limit_is_unchanged_as_long_as_its_end_is(tmp_path: Path) -> None:
    log, limits = tmp_path / "boiler.log", LoadLimits(file_bytes=100)

    def examine(before: dict[str, IndexedFile]) -> ExaminedFile:
        (examined,) = examine_files(scan_folder(tmp_path).files, before, RECIPE, limits)
        assert not examined.failure
        return examined

    log.write_bytes(b"a" * 500)
    before = known(examine({}))
    log.write_bytes(b"b" * 100 + b"a" * 400)
    assert examine(before).is_unchanged
    log.write_bytes(b"a" * 499 + b"b")
    assert not examine(before).is_unchanged


def test_a_log_is_read_again_under_other_limits(tmp_path: Path) -> None:
    for name, is_unchanged in (("boiler.log", False), ("boiler.txt", True)):
        (tmp_path / name).write_bytes(b"a" * 50)
        files = [file for file in scan_folder(tmp_path).files if file.document == name]
        (first,) = examine_files(files, {}, RECIPE, LoadLimits(text_characters=1000))
        (second,) = examine_files(files, known(first), RECIPE, LoadLimits(text_characters=2000))
        assert second.is_unchanged is is_unchanged


def indexed(*paths: str, documents: int = 1) -> dict[str, IndexedFile]:
    return {path: IndexedFile(1, path, 1, 1, 1, f"hash of {path}", documents) for path in paths}


def paths(missing: MissingFiles) -> tuple[list[str], list[str], list[str]]:
    parts = (missing.removable, missing.unmounted, missing.vanished)
    return tuple([file.path for file in part] for part in parts)  # type: ignore[return-value]


def scan(folder: Path, *names: str) -> FolderScan:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return scan_folder(folder)


def test_what_lies_below_an_unreadable_folder_is_not_gone() -> None:
    before = indexed("a.txt", "shut/b.txt", "shut.txt", "c.txt", "d.txt")
    missed = FolderScan((), tuple(UnreadableEntry(name, "no") for name in ("shut/", "c.txt", "d.txt")))
    assert paths(find_missing(before, missed, (), ())) == (["a.txt", "shut.txt"], [], [])


def test_a_few_files_that_are_gone_are_removable(tmp_path: Path) -> None:
    found = scan(tmp_path, "b.txt", "c.txt")
    assert paths(find_missing(indexed("a.txt", "b.txt", "c.txt"), found, (), ())) == (["a.txt"], [], [])


def test_more_than_half_of_a_collection_is_withheld(tmp_path: Path) -> None:
    found = scan(tmp_path, "c.txt")
    assert paths(find_missing(indexed("a.txt", "b.txt", "c.txt"), found, (), ())) == ([], [], ["a.txt", "b.txt"])


def test_an_empty_folder_withholds_everything(tmp_path: Path) -> None:
    assert paths(find_missing(indexed("a.txt"), scan_folder(tmp_path), (), ())) == ([], [], ["a.txt"])


def test_a_file_that_only_moved_is_not_lost(tmp_path: Path) -> None:
    missing = find_missing(indexed("a.txt"), scan(tmp_path, "new/a.txt"), {"hash of a.txt"}, ())
    assert paths(missing) == (["a.txt"], [], [])


def test_a_file_that_never_held_a_document_is_not_lost(tmp_path: Path) -> None:
    assert paths(find_missing(indexed("a.txt", documents=0), scan_folder(tmp_path), (), ())) == (["a.txt"], [], [])


def test_a_single_file_of_a_share_that_is_not_mounted_is_withheld(tmp_path: Path) -> None:
    before = indexed("share/a.txt", *(f"{number}.txt" for number in range(9)))
    found = scan(tmp_path, *(f"{number}.txt" for number in range(9)))
    assert paths(find_missing(before, found, (), {"share/"})) == ([], ["share/a.txt"], [])
    assert paths(find_missing(before, found, (), ())) == (["share/a.txt"], [], [])


def test_a_share_that_is_still_mounted_loses_what_was_deleted_from_it(tmp_path: Path) -> None:
    before = indexed("share/a.txt", "share/b.txt", "c.txt")
    found = replace(scan(tmp_path, "share/b.txt", "c.txt"), mounts=frozenset({"share/"}))
    assert paths(find_missing(before, found, (), {"share/"})) == (["share/a.txt"], [], [])

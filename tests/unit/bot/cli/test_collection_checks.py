"""The doctor's checks of document collections."""

import threading
from pathlib import Path

import pytest

from adapters.platform import Check
from bot.cli import collection_checks
from bot.cli.collection_checks import check_collections, idle_patterns, unread_sentence
from bot.config.schema import Config, config_model
from knowledge.folder_scan import FolderScan


def config(folder: Path, **collections: object) -> Config:
    return config_model().model_validate({"data_folder": folder / "data", "knowledge": {"collections": collections}})


def found(folder: Path, **collection: object) -> list[Check]:
    return list(check_collections(config(folder, a={"folder": folder / "documents", **collection})))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "documents" / "wiki").mkdir(parents=True)
    (tmp_path / "documents" / "wiki" / "drive.md").touch()
    return tmp_path


def test_a_folder_with_documents_is_fine_and_counted(folder: Path) -> None:
    (check,) = found(folder)
    assert (check.name, check.status, check.figures["files"]) == ("collection.a", "ok", 1)


def test_a_collections_folder_must_exist(folder: Path) -> None:
    (check,) = check_collections(config(folder, b={"folder": folder / "gone"}))
    assert (check.name, check.status) == ("collection.b", "problem")
    assert [check.status for check in check_collections(config(folder))] == ["warning"]


def test_a_folder_without_anything_readable_is_told(folder: Path) -> None:
    (folder / "documents" / "wiki" / "drive.md").rename(folder / "documents" / "drive.xyz")
    (check,) = found(folder)
    assert check.status == "warning"
    assert "holds no file that Hearth can read" in check.sentence


def test_a_pattern_that_includes_nothing_is_told(folder: Path) -> None:
    (check,) = found(folder, include=["*.md", "*.markdwon"])
    assert (check.status, "`*.markdwon`" in check.sentence, "`*.md`" in check.sentence) == ("warning", True, False)


def test_a_pattern_that_excludes_nothing_is_no_fault_but_told(folder: Path) -> None:
    (check,) = found(folder, exclude=["*.key"])
    assert (check.status, "`*.key`" in check.sentence) == ("ok", True)


@pytest.mark.parametrize("pattern", ["*.md", "wiki/", "wiki", "wiki/**", "drive.*"])
def test_a_pattern_that_matches_a_file_or_a_folder_above_it_is_not_idle(pattern: str) -> None:
    assert idle_patterns((pattern,), ["wiki/drive.md"]) == ""


@pytest.mark.parametrize(
    ("readers", "sentence"),
    [
        ((), "Nobody may read it"),
        (("matrix:!room:example.org",), "Nobody can ask about it now: its readers are on matrix"),
        (("console",), ""),
        (("everyone",), ""),
        (("matrix:!room:example.org", "console"), ""),
    ],
)
def test_readers_who_cannot_ask_now_are_told(folder: Path, readers: tuple[str, ...], sentence: str) -> None:
    told = unread_sentence(readers, config(folder))
    assert told.startswith(sentence) if sentence else told == ""


def test_a_folder_that_never_answers_is_a_problem_and_holds_nothing_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def hangs(*_: object, **__: object) -> FolderScan:
        answers.wait()
        return FolderScan((), ())

    monkeypatch.setattr(collection_checks, "scan_folder", hangs)
    try:
        with pytest.raises(TimeoutError, match="is its disk there"):
            collection_checks.scan_in_time(config(folder, a={"folder": folder}).knowledge.collections["a"], 0.01)
    finally:
        answers.set()


def test_what_is_left_out_of_a_folder_is_told(folder: Path) -> None:
    (folder / "documents/photo.xyz").touch()
    (folder / "documents/node_modules").mkdir()
    (folder / "elsewhere").mkdir()
    (folder / "documents/manuals").symlink_to(folder / "elsewhere")
    (check,) = found(folder)
    assert (check.status, check.figures["left_out"]) == ("ok", 3)
    assert "1 .xyz" in check.sentence
    assert "1 node_modules/" in check.sentence
    assert "(a/manuals/)" in check.sentence


def test_a_single_file_is_fine_as_a_collection(folder: Path) -> None:
    (check,) = check_collections(config(folder, b={"folder": folder / "documents/wiki/drive.md"}))
    assert (check.status, "single file" in check.sentence) == ("ok", True)

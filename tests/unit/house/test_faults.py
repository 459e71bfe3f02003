"""The page of known faults names every fault once, and the tests that it names exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "faults.md"
ROW = re.compile(r"(?m)^\| (?P<number>[A-Z]\w*) \| (?P<fault>[^|]+) \| (?P<outcome>[^|]+) \| (?P<held>[^|]*) \|$")
OUTCOMES = ("mended: ", "kept: ", "open: ")


def _numbers(letter: str, last: int) -> list[str]:
    return [f"{letter}{number}" for number in range(1, last + 1)]


CORE = [*_numbers("A", 14), "A4b", *_numbers("B", 26), *_numbers("C", 13)]
PLATFORMS = [*_numbers("D", 35), *_numbers("M", 12)]
ENGINE = _numbers("E", 42)
KNOWLEDGE = [*_numbers("R", 20), *_numbers("S", 9)]
CASES = ["K23", "K25", "K26", "K27", "K30", "K38", "K42", "K47", "K50"]
ALL = [*CORE, *PLATFORMS, *ENGINE, *KNOWLEDGE, *CASES]


def rows() -> list[re.Match[str]]:
    """The rows of the page's tables."""
    return list(ROW.finditer(PAGE.read_text(encoding="utf-8")))


def is_held(test: str) -> bool:
    """Whether a test, `path` or `path::function`, is in the tree."""
    path, _, function = test.partition("::")
    file = ROOT / path
    if not path.startswith("tests/") or not file.exists():
        return False
    return not function or bool(re.search(rf"(?m)^(?:async )?def {re.escape(function)}\(", file.read_text("utf-8")))


def test_every_fault_is_on_the_page_once() -> None:
    assert sorted(row["number"] for row in rows()) == sorted(ALL)


def test_every_fault_is_mended_and_held_by_a_test_or_has_a_reason() -> None:
    wrong = []
    for row in rows():
        tests = re.findall(r"`([^`]+)`", row["held"])
        if not row["outcome"].startswith(OUTCOMES) or (row["outcome"].startswith("mended") and not tests):
            wrong.append(row["number"])
    assert wrong == []


def test_every_test_that_the_page_names_exists() -> None:
    named = [(row["number"], test) for row in rows() for test in re.findall(r"`([^`]+)`", row["held"])]
    assert [(number, test) for number, test in named if not is_held(test)] == []


@pytest.mark.parametrize("test", ["tests/unit/house/nowhere.py", "tests/unit/house/test_faults.py::test_nothing"])
def test_a_test_that_does_not_exist_is_found(test: str) -> None:
    assert not is_held(test)

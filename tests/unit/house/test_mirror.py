"""Unit tests stand where their module stands in the source: `tests/unit/<folder>/test_<module>[_<aspect>].py`."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "tests" / "unit"
MIRRORED = ("bot", "adapters", "knowledge", "models", "deploy")

# Folders and files that mirror no module of the source, and why.
EXCEPTIONS = {
    "house/*": "rules that the whole repository keeps",
    "fakes/*": "tests of tests/fakes and of what checks its requests",
    "benchmarks/*": "tests of tests/benchmarks",
    "exactly_once/*": "tests of tests/exactly_once",
}


def _is_mirrored(test: Path, modules: set[Path]) -> bool:
    """Whether a test file, named from tests/unit, belongs to one of the modules, named from the root."""
    words = test.stem.removeprefix("test_").split("_")
    return any(test.parent / "_".join(words[:count]) in modules for count in range(1, len(words) + 1))


def _modules() -> set[Path]:
    """The modules and packages of the source, named from the root, without suffix."""
    files = [path.relative_to(ROOT) for room in MIRRORED for path in (ROOT / room).rglob("*.py")]
    return {path.parent if path.name == "__init__.py" else path.with_suffix("") for path in files}


def _tests() -> list[Path]:
    return sorted(path.relative_to(UNIT) for path in UNIT.rglob("test_*.py"))


def test_every_unit_test_stands_where_its_module_stands() -> None:
    modules = _modules()
    strays = [
        str(test)
        for test in _tests()
        if not any(test.match(pattern) for pattern in EXCEPTIONS) and not _is_mirrored(test, modules)
    ]
    assert strays == [], "name them test_<module>.py or test_<module>_<aspect>.py, in the folder of that module"


def test_no_folder_of_tests_is_left_out(pytestconfig: pytest.Config) -> None:
    folders = {folder.name for folder in (ROOT / "tests").rglob("*") if folder.is_dir()}
    skipped = pytestconfig.getini("norecursedirs")
    assert [name for name in folders if name != "__pycache__" and any(fnmatch(name, one) for one in skipped)] == []


def test_every_exception_is_needed() -> None:
    assert [pattern for pattern in EXCEPTIONS if not any(test.match(pattern) for test in _tests())] == []


@pytest.mark.parametrize(
    ("test", "mirrored"),
    [
        ("bot/core/test_queue.py", True),
        ("bot/core/test_queue_of_many_people.py", True),
        ("bot/core/test_texts.py", True),
        ("bot/core/test_que.py", False),
        ("bot/test_queue.py", False),
        ("bot/core/texts/test_queue.py", False),
    ],
)
def test_a_test_belongs_to_a_module_of_its_folder(test: str, mirrored: bool) -> None:
    assert _is_mirrored(Path(test), {Path("bot/core/queue"), Path("bot/core/texts")}) is mirrored

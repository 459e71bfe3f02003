"""Tests in several workers: what must run alone does, skips are judged once, and a worker that dies fails the run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PLUGINS = ("-p", "xdist.plugin", "-p", "tests.skip_policy", "-p", "tests.parallel", "-p", "no:cacheprovider")

TIMED = """
import time
from pathlib import Path
import pytest

def note(name):
    with open("log", "a") as log:
        log.write(name + "\\n")

@pytest.fixture(autouse=True)
def spans(request):
    note(f"begin {request.node.name}")
    time.sleep(0.05)
    yield
    note(f"end {request.node.name}")
"""
MIXED = """
import pytest

@pytest.mark.alone
@pytest.mark.parametrize("number", range(3))
def test_measured(number): pass

@pytest.mark.parametrize("number", range(4))
def test_common(number): pass
"""
COMMON = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_other(number): pass
"""
SKIPS = """
import pytest

@pytest.mark.skip(reason="needs a GPU")
def test_skipped(): pass
"""
DYING_IN_A_TEST = "import os\n\ndef test_dies():\n    os._exit(3)\n"
DYING_AT_THE_END = """
import os

def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        os._exit(3)
"""


def _run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", *PLUGINS, *arguments]
    return subprocess.run(
        [*command, "tests"],
        cwd=tree,
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(TIMED)
    return tmp_path


@pytest.mark.parametrize("workers", ["1", "3"])
def test_what_measures_time_runs_when_all_else_has_ended(tree: Path, workers: str) -> None:
    (tree / "tests" / "test_mixed.py").write_text(MIXED)
    for name in ("one", "two", "three"):
        (tree / "tests" / f"test_{name}.py").write_text(COMMON)
    run = _run(tree, "-n", workers, "-rA")
    assert run.returncode == 0, run.stdout
    assert "19 passed" in run.stdout
    assert "PASSED tests/test_mixed.py::test_measured[0]\n" in run.stdout
    log = (tree / "log").read_text().splitlines()
    first = next(number for number, line in enumerate(log) if "measured" in line)
    assert first == 2 * 16
    assert log[first:] == [f"{what} test_measured[{number}]" for number in range(3) for what in ("begin", "end")]


def test_a_run_of_nothing_but_measurements_runs_them(tree: Path) -> None:
    (tree / "tests" / "test_mixed.py").write_text(MIXED)
    run = _run(tree, "-n", "2", "-m", "alone")
    assert run.returncode == 0, run.stdout
    assert "3 passed" in run.stdout


def test_skips_in_workers_fail_the_run_as_others_do(tree: Path) -> None:
    (tree / "tests" / "test_skips.py").write_text(SKIPS)
    (tree / "tests" / "test_module.py").write_text("import pytest\npytest.skip('no', allow_module_level=True)\n")
    run = _run(tree, "-n", "2", "--junit-xml=junit.xml")
    assert run.returncode == 1
    assert run.stdout.count("NOT ALLOWED: tests/test_skips.py::test_skipped: needs a GPU") == 1
    assert run.stdout.count("NOT ALLOWED: tests/test_module.py: no") == 1
    assert "2 skips are not on tests/allowed_skips.txt" in run.stdout
    (tree / "tests" / "allowed_skips.txt").write_text("tests/test_skips.py::* | GPU\ntests/test_module.py | no\n")
    assert _run(tree, "-n", "2").returncode == 0


def test_a_worker_that_dies_in_a_test_fails_the_run(tree: Path) -> None:
    (tree / "tests" / "test_dying.py").write_text(DYING_IN_A_TEST)
    (tree / "tests" / "test_one.py").write_text(COMMON)
    run = _run(tree, "-n", "2")
    assert run.returncode == 1, run.stdout
    assert "1 failed, 4 passed" in run.stdout
    assert "A worker died, so this run fails: " in run.stdout


def test_a_worker_that_dies_between_tests_fails_the_run(tree: Path) -> None:
    (tree / "tests" / "conftest.py").write_text(DYING_AT_THE_END)
    (tree / "tests" / "test_one.py").write_text(COMMON)
    run = _run(tree, "-n", "2", "--max-worker-restart", "0")
    assert run.returncode == 1, run.stdout
    assert "A worker died, so this run fails: " in run.stdout

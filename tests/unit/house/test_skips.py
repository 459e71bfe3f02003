import subprocess
import sys
from pathlib import Path

import pytest

from tests.skip_policy import Allowed, Skip, parse, unexpected

ROOT = Path(__file__).parents[3]

ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

TREE = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason="needs a GPU")
def test_skipped(): pass

@pytest.mark.xfail(reason="the moon is full")
def test_expected_to_fail(): assert False
"""
MODULE = 'import pytest\npytest.skip("no such platform", allow_module_level=True)\n'


def _run(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "tests.skip_policy", "-p", "no:cacheprovider", str(tree)]
    return subprocess.run(command, cwd=tree, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_few.py").write_text(TREE)
    (tmp_path / "tests" / "test_module.py").write_text(MODULE)
    return tmp_path


def test_a_run_with_skips_that_nobody_allowed_fails_and_names_them(tree: Path) -> None:
    run = _run(tree)
    assert run.returncode == 1
    assert "NOT ALLOWED: tests/test_few.py::test_skipped: needs a GPU" in run.stdout
    assert "NOT ALLOWED: tests/test_few.py::test_expected_to_fail: the moon is full" in run.stdout
    assert "NOT ALLOWED: tests/test_module.py: no such platform" in run.stdout
    assert "3 skips are not on tests/allowed_skips.txt" in run.stdout


def test_a_run_whose_skips_are_all_on_the_list_passes_and_still_prints_them(tree: Path) -> None:
    lines = ["*::test_skipped | GPU", "tests/test_few.py::test_expected* | moon", "tests/test_module.py | platform"]
    (tree / "tests" / "allowed_skips.txt").write_text("\n".join(lines))
    run = _run(tree)
    assert run.returncode == 0, run.stdout
    assert "allowed: tests/test_few.py::test_skipped: needs a GPU" in run.stdout


def test_a_list_without_reasons_is_refused_before_any_test_runs(tree: Path) -> None:
    (tree / "tests" / "allowed_skips.txt").write_text("*\n")
    run = _run(tree)
    assert run.returncode == 4
    assert "line 1: a skip is allowed for a reason" in run.stderr


@pytest.mark.parametrize(
    ("line", "covered"),
    [
        (Allowed("tests/a.py::test_x[1-a]", "GPU"), True),
        (Allowed("tests/a.py::*", "needs a GPU"), True),
        (Allowed("*", "needs"), True),
        (Allowed("tests/a.py::test_x", "GPU"), False),
        (Allowed("tests/a.py::test_x[1-a]", "network"), False),
        (Allowed("tests/b.py::*", "GPU"), False),
    ],
)
def test_a_line_covers_a_skip_only_by_its_id_and_its_reason(line: Allowed, covered: bool) -> None:
    skip = Skip("tests/a.py::test_x[1-a]", "needs a GPU")
    assert (unexpected([skip], [line]) == []) is covered


def test_comments_and_empty_lines_of_the_list_allow_nothing() -> None:
    assert parse("# all of them\n\n  # *\n tests/a.py::test_x |  needs a GPU # since it is so \n") == [
        Allowed("tests/a.py::test_x", "needs a GPU")
    ]

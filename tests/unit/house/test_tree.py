import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("bot", "adapters", "knowledge", "models")
FILE_LINES, FUNCTION_LINES = 400, 50

# A letter of each in brackets, or this file would find itself.
ELSEWHERE = re.compile(
    r"py[p]i\.org|python[h]osted\.org|npm[j]s\.|crates[.]io|deb\.[d]ebian|(?<![\w.])/(?:[r]oot|[w]ork)/"
)
LOOSE_ENDS = re.compile(
    r"\b(?:T[O]DO|F[I]XME|X[X]X|Not[I]mplementedError)\b|# n[o]qa(?!: [A-Z])|type: i[g]nore(?!\[)|pragma: n[o] cover"
)


def _tracked() -> list[Path]:
    """The files of the repository; without git (a source archive) those of its folders."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        names = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        folders = (*ROOMS, "deploy", "docs", "tests")
        names = [path for folder in folders for path in (ROOT / folder).rglob("*")] + list(ROOT.glob("*.*"))
    return [path for path in names if path.is_file()]


FILES = _tracked()
SOURCES = [path for path in FILES if path.suffix == ".py"]
HOUSE = [path for path in SOURCES if path.relative_to(ROOT).parts[0] in ROOMS]


def _text(path: Path) -> str:
    """The text of a file; nothing for pictures and the like."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def _where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def _matches(files: list[Path], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{_where(path, number)}: {found[0]}"
        for path in files
        for number, line in enumerate(_text(path).splitlines(), 1)
        if (found := pattern.search(line))
    ]


def _functions(source: str) -> Iterator[tuple[str, int, int]]:
    """Name, first line and length of every function, its docstring not counted."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            told = docstring.count("\n") + 1 if docstring else 0
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1 - told


def test_no_file_is_longer_than_a_person_reads_in_one_sitting() -> None:
    lengths = {path.relative_to(ROOT): _text(path).count("\n") for path in HOUSE}
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    assert [
        f"{_where(path, line)}: {name} has {length} lines"
        for path in HOUSE
        for name, line, length in _functions(_text(path))
        if length > FUNCTION_LINES
    ] == []


def test_every_module_says_what_it_owns() -> None:
    modules = [path for path in SOURCES if path.relative_to(ROOT).parts[0] != "tests" and _text(path).strip()]
    assert [str(path.relative_to(ROOT)) for path in modules if not ast.get_docstring(ast.parse(_text(path)))] == []


def test_what_is_deployed_needs_no_test() -> None:
    deployed = [path for path in SOURCES if path.relative_to(ROOT).parts[0] != "tests"]
    assert _matches(deployed, re.compile(r"^\s*(?:from|import) tests\b.*")) == []


def test_no_file_names_a_package_registry_or_a_place_on_one_machine() -> None:
    assert _matches(FILES, ELSEWHERE) == []


def test_the_sources_have_no_loose_ends() -> None:
    assert _matches(SOURCES, LOOSE_ENDS) == []


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    assert [str(path.relative_to(ROOT)) for path in HOUSE if drawers & {path.stem, path.parent.name}] == []


@pytest.mark.parametrize("length", [FUNCTION_LINES, FUNCTION_LINES + 1])
def test_the_length_of_a_function_leaves_its_docstring_out(length: int) -> None:
    body = "\n".join("    pass" for _ in range(length - 1))
    (found,) = _functions(f'def wide():\n    """Two\n    lines."""\n{body}\n')
    assert found == ("wide", 1, length)


@pytest.mark.parametrize(
    "text", ["see https://py" + "pi.org/simple", "/wo" + "rk/shared", "# T" + "ODO: later", "x  # no" + "qa"]
)
def test_what_must_not_be_in_the_tree_is_found(text: str) -> None:
    assert ELSEWHERE.search(text) or LOOSE_ENDS.search(text)


@pytest.mark.parametrize("text", ["tests/work/x", "x  # noqa: S101", "y  # type: ignore[misc]", "TODOS"])
def test_what_may_be_in_the_tree_is_left_alone(text: str) -> None:
    assert not ELSEWHERE.search(text)
    assert not LOOSE_ENDS.search(text)

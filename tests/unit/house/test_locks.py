import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = sorted((ROOT / "deploy" / "build" / "locks").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _requirements(lock: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and hashes of every requirement of a lock."""
    joined = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in joined.splitlines():
        if line.strip() and not line.startswith("#"):
            found = re.match(r"([a-z0-9-]+)==([^ ;]+)", line)
            assert found, f"{lock.name}: not an exact version: {line[:80]}"
            yield found[1], found[2], re.findall(r"--hash=sha256:([0-9a-f]{64})", line)


def _names(requirements: list[str]) -> set[str]:
    """The names in a list of pyproject.toml, written as locks write them."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=; ]", text)[0]).lower() for text in requirements}


def _locked(name: str) -> set[str]:
    return {package for package, _, _ in _requirements(ROOT / "deploy" / "build" / "locks" / f"{name}.lock")}


def test_every_lock_is_there() -> None:
    names = {"bootstrap", "build", "engine", "lock", "ocr", "requirements", "requirements-dev", "synapse"}
    assert {lock.stem for lock in LOCKS} == names


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_requirement_of_a_lock_has_hashes(lock: Path) -> None:
    assert [name for name, _, hashes in _requirements(lock) if not hashes] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_no_index_and_no_folder(lock: Path) -> None:
    assert re.findall(r"(?m)^.*(?:://|--(?:extra-)?index-url|--find-links|^-).*$", lock.read_text("utf-8")) == []


def test_the_locks_hold_everything_that_pyproject_asks() -> None:
    groups = PROJECT["dependency-groups"]
    engine = _names(groups["engine"])
    assert _names(PROJECT["project"]["dependencies"]) <= _locked("requirements") | engine
    assert _names(groups["dev"]) | _locked("requirements") <= _locked("requirements-dev")
    assert engine == _locked("engine")
    assert _names(PROJECT["project"]["optional-dependencies"]["ocr"]) <= _locked("ocr") & _locked("requirements-dev")
    assert _names(groups["build"]) <= _locked("build")
    assert _names(groups["bootstrap"]) <= _locked("bootstrap")
    assert _names(groups["synapse"]) <= _locked("synapse")


def test_running_and_development_agree_on_every_version() -> None:
    folder = ROOT / "deploy" / "build" / "locks"
    run = {(name, version) for name, version, _ in _requirements(folder / "requirements.lock")}
    assert run <= {(name, version) for name, version, _ in _requirements(folder / "requirements-dev.lock")}

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.build import machine, setup
from deploy.build.setup import EnvironmentState, due_steps

FINDER = Path(setup.__file__).with_name("python")
RUN = EnvironmentState(python="3.11 /usr /here", locks="a", dev=False, engine="cpu-1", project="p")
DEV = dataclasses.replace(RUN, dev=True)
ALL = ["venv", "packages", "engine", "project"]


@pytest.mark.parametrize(
    ("installed", "wanted", "steps"),
    [
        (None, RUN, ALL),
        (RUN, RUN, []),
        (DEV, RUN, []),
        (RUN, DEV, ["packages"]),
        (RUN, dataclasses.replace(RUN, python="3.12 /usr /here"), ALL),
        (RUN, dataclasses.replace(RUN, locks="b"), ALL),
        (RUN, dataclasses.replace(RUN, engine="cuda-2"), ["engine"]),
        (RUN, dataclasses.replace(DEV, project="q"), ["packages", "project"]),
    ],
)
def test_only_what_changed_is_done_again(
    installed: EnvironmentState | None, wanted: EnvironmentState, steps: list[str]
) -> None:
    assert due_steps(installed, wanted) == steps


@pytest.mark.parametrize("stamp", ["", "[]", "{}", '{"python": "3.11"}', '{"unknown": 1}'])
def test_a_stamp_that_cannot_be_read_means_a_new_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stamp: str
) -> None:
    monkeypatch.setattr(setup, "STAMP", tmp_path / "stamp.json")
    (tmp_path / "stamp.json").write_text(stamp)
    assert setup.installed_state() is None


def test_an_environment_whose_python_is_gone_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = tmp_path / "stamp.json"
    monkeypatch.setattr(setup, "STAMP", stamp)
    monkeypatch.setattr(setup, "VENV", tmp_path)
    stamp.write_text('{"python": "3.11", "locks": "a", "dev": false, "engine": "cpu-1", "project": "p"}')
    assert setup.installed_state() is None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    assert setup.installed_state() == dataclasses.replace(RUN, python="3.11")


def test_a_lock_is_free_again_when_its_holder_is_done(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    lock_attempt = f"import fcntl; fcntl.flock(open({str(path)!r}), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with machine.file_lock(path, "testing"):
        assert subprocess.run([sys.executable, "-c", lock_attempt], capture_output=True, check=False).returncode == 1
    assert subprocess.run([sys.executable, "-c", lock_attempt], capture_output=True, check=False).returncode == 0


def test_the_cache_is_where_the_environment_says_or_in_the_home() -> None:
    assert machine.cache_folder({"HEARTH_CACHE": "/var/cache/hearth"}) == Path("/var/cache/hearth")
    assert machine.cache_folder({"HEARTH_CACHE": ""}) == Path.home() / ".cache" / "hearth"


def _find(path: Path, python: str = "") -> subprocess.CompletedProcess[str]:
    command = [FINDER, "-c", "import sys; print(sys.argv[1])", "found"]
    return subprocess.run(
        command, env={"PATH": str(path), "PYTHON": python}, capture_output=True, text=True, check=False
    )


def _fake(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_name_on_the_path_that_runs_nothing_is_passed_over(tmp_path: Path) -> None:
    _fake(tmp_path / "python3.13", "exit 127")
    _fake(tmp_path / "python3", f'exec {sys.executable} "$@"')
    assert _find(tmp_path).stdout == "found\n"


def test_a_machine_without_python_is_told_what_to_install(tmp_path: Path) -> None:
    found = _find(tmp_path)
    assert found.returncode == 2
    assert found.stderr == "No Python was found. On Debian or Ubuntu: sudo apt install python3 python3-venv\n"


def test_a_python_without_venv_is_told_which_package_brings_it(tmp_path: Path) -> None:
    _fake(tmp_path / "python3", f'case "$2" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac')
    found = _find(tmp_path)
    assert found.returncode == 2
    assert (
        "python3 cannot make virtual environments. On Debian or Ubuntu: sudo apt install python3-venv" in found.stderr
    )


def test_a_python_that_is_too_old_is_told_its_version(tmp_path: Path) -> None:
    _fake(tmp_path / "python3", 'case "$2" in "") exit 0;; *print*) echo 3.9;; *) exit 1;; esac')
    found = _find(tmp_path)
    assert found.returncode == 2
    assert "Hearth needs Python 3.11 or newer; python3 is 3.9." in found.stderr


def test_a_chosen_python_that_does_not_run_is_named_and_no_other_taken(tmp_path: Path) -> None:
    _fake(tmp_path / "python3", f'exec {sys.executable} "$@"')
    found = _find(tmp_path, python="python9")
    assert (found.returncode, found.stdout) == (2, "")
    assert "PYTHON=python9 does not run." in found.stderr


def test_the_help_of_make_names_every_command(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make, "make runs these tests"
    shown = subprocess.run(
        [make, "help"], cwd=setup.ROOT, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    commands = ("demo", "test", "soak", "check", "bench", "bench-engine", "lock", "help", "clean")
    assert [name for name in commands if f"make {name} " not in shown.stdout] == []

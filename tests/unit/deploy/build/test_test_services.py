import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.build import test_services
from deploy.build.progress import SetupFailed


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def _recording_make(calls: list[Path], fails: bool = False) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        calls.append(folder)
        folder.mkdir(parents=True)
        if fails:
            raise SetupFailed("no network")

    return make


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    calls: list[Path] = []
    folder = tmp_path / "synapse" / "key"
    assert [test_services.build_once(folder, _recording_make(calls)) for _ in range(2)] == [folder, folder]
    assert calls == [folder]


def test_a_folder_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "synapse" / "key"
    with pytest.raises(SetupFailed, match="no network"):
        test_services.build_once(folder, _recording_make([], fails=True))
    (folder / "half").touch()
    test_services.build_once(folder, _recording_make([]))
    assert not (folder / "half").exists()


def test_a_machine_without_node_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"Node with npm was not found on the path\."):
        test_services.client_library({"PATH": str(tmp_path)})


@pytest.mark.parametrize(("version", "told"), [("v18.20.1", "v18.20.1"), ("", "broken")])
def test_a_node_that_is_too_old_or_does_not_run_is_told(tmp_path: Path, version: str, told: str) -> None:
    _program(tmp_path, "npm", "exit 0")
    _program(tmp_path, "node", f"echo {version}")
    with pytest.raises(SetupFailed, match=rf"Node 20 or newer was not found; .*/node is {told}\."):
        test_services.client_library({"PATH": str(tmp_path)})


def test_npm_that_cannot_install_leaves_a_sentence_and_nothing_that_is_found(tmp_path: Path) -> None:
    _program(tmp_path, "npm", "echo no route to host; exit 1")
    _program(tmp_path, "node", "echo v22.1.0")
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.defpath}", "HEARTH_CACHE": str(tmp_path / "cache")}
    for _ in range(2):
        with pytest.raises(SetupFailed, match=r"no route to host\n\nnpm could not install package-lock\.json\."):
            test_services.client_library(environment)


def test_without_node_the_setup_goes_on_and_says_what_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(test_services, "synapse_python", lambda _: Path(sys.executable))
    test_services.install_services({"PATH": str(tmp_path)})
    assert "Tests with Element's library will be skipped." in capsys.readouterr().err

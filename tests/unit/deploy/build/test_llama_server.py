import os
import sys
from pathlib import Path

import pytest

from deploy.build import llama, llama_server, machine
from deploy.build.progress import SetupFailed


def _environment(folder: Path) -> dict[str, str]:
    return {"HEARTH_CACHE": str(folder), "PATH": str(folder / "nothing")}


def test_a_server_that_was_made_is_found_without_a_compiler(tmp_path: Path) -> None:
    folder = tmp_path / "llama-server" / llama_server.build_key()
    folder.mkdir(parents=True)
    (folder / "made").touch()
    assert llama_server.server_program(_environment(tmp_path)) == folder / "llama-server"


def test_without_a_compiler_it_is_told_which_package_brings_one(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"No C compiler was found .* sudo apt install build-essential"):
        llama_server.server_program(_environment(tmp_path))
    assert not list(tmp_path.rglob("llama-server/*/made"))


def test_another_machine_has_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {llama_server.build_key()}
    monkeypatch.setattr(machine, "c_library", lambda: "another C library")
    keys.add(llama_server.build_key())
    monkeypatch.setattr(machine, "processor_features", lambda: "another processor")
    keys.add(llama_server.build_key())
    assert len(keys) == 3


def test_it_runs_on_the_libraries_of_the_stock_build_before_any_other(tmp_path: Path) -> None:
    environment = _environment(tmp_path)
    stock = tmp_path / "engines" / llama.plan_build({**environment, "LLAMA": "stock"}).name
    stock.mkdir(parents=True)
    (stock / "made").touch()
    found = stock / "llama_cpp" / "lib"
    assert llama_server.library_folder(environment) == found
    assert llama_server.server_environment(environment) == {**environment, "LD_LIBRARY_PATH": str(found)}
    environment["LD_LIBRARY_PATH"] = "/x"
    assert llama_server.server_environment(environment)["LD_LIBRARY_PATH"] == f"{found}{os.pathsep}/x"


def test_a_step_that_fails_is_told_with_its_last_lines_and_where_all_of_them_are(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-c", "print('no such target'); raise SystemExit(1)"]
    with pytest.raises(SetupFailed, match=r"no such target\n\nllama\.cpp's own server could not be built.*server\.log"):
        llama_server._run(command, "Server", tmp_path, os.environ)

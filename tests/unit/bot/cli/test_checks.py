"""The doctor's checks, one by one."""

import hashlib
import socket
from pathlib import Path

import pytest

from bot.cli import checks
from bot.config.schema import Config
from models.fetch_job import FetchProgress


def config(folder: Path, **settings: object) -> Config:
    return Config.model_validate({"data_folder": folder / "data", "cache_folder": folder / "cache", **settings})


def chat_file(path: Path, sha256: str | None = None) -> dict[str, object]:
    return {"chat": {"source": "path", "path": path, "sha256": sha256}, "embedding": []}


def ignore(progress: FetchProgress) -> None:
    """Nobody watches."""


def test_a_data_folder_that_is_not_there_yet_is_fine_when_it_can_be_made(tmp_path: Path) -> None:
    check = checks.check_data_folder(config(tmp_path))
    assert check.status == "ok"
    assert check.figures["free_bytes"] > 0
    assert not (tmp_path / "data").exists()


def test_a_file_in_the_data_folders_way_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert checks.check_data_folder(config(tmp_path)).status == "problem"


def test_weights_are_missing_intact_or_damaged(tmp_path: Path) -> None:
    file = tmp_path / "small.gguf"
    right = hashlib.sha256(b"weights").hexdigest()
    settings = config(tmp_path, weights=chat_file(file, right))
    found = {}
    for state, content in {"missing": None, "intact": b"weights", "damaged": b"weightz"}.items():
        if content is not None:
            file.write_bytes(content)
        found[state] = next(checks.check_weights(settings, ignore)).status
    assert found == {"missing": "problem", "intact": "ok", "damaged": "problem"}


def test_a_file_that_is_no_model_cannot_be_fitted_into_memory(tmp_path: Path) -> None:
    file = tmp_path / "small.gguf"
    file.write_bytes(b"no model")
    check = checks.check_memory(config(tmp_path, weights=chat_file(file)))
    assert check.status == "problem"
    assert "small.gguf" in check.sentence


def test_a_missing_file_is_told_with_its_path(tmp_path: Path) -> None:
    file = tmp_path / "models" / "small.gguf"
    check = next(checks.check_weights(config(tmp_path, weights=chat_file(file)), ignore))
    assert str(file) in check.sentence


def test_a_data_folder_that_others_use_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    assert checks.check_data_folder(config(tmp_path)).status == "ok"
    (tmp_path / "data" / "config.yaml").touch()
    assert checks.check_data_folder(config(tmp_path)).status == "problem"


def test_keys_of_programs_are_looked_for_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(tmp_path, http={"openai": {"enabled": True, "keys": {"editor": "sk_live_abc123"}}})
    (missing,) = checks.check_api_keys(settings)
    assert (missing.status, "'editor'" in missing.sentence) == ("problem", True)
    assert "sk_live_abc123" not in missing.sentence
    monkeypatch.setenv("sk_live_abc123", "key")
    assert [check.status for check in checks.check_api_keys(settings)] == ["ok"]
    assert list(checks.check_api_keys(config(tmp_path))) == []


def test_a_port_of_another_program_is_not_that_of_a_hearth_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hearth.pid").write_text("18512\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        check = checks.check_http_port(config(tmp_path, http={"port": taken.getsockname()[1]}))
    assert check.status == "problem"


def test_a_taken_port_is_a_problem_and_a_free_one_is_not(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = config(tmp_path, http={"port": taken.getsockname()[1]})
        assert checks.check_http_port(settings).status == "problem"
    assert checks.check_http_port(settings).status == "ok"
    assert checks.check_http_port(config(tmp_path, http={"enabled": False})).status == "ok"

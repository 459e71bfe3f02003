"""Credentials are private, whole, and where they are not, a sentence says what to do without telling them."""

import json
from pathlib import Path

import pytest

from adapters.matrix import credentials
from adapters.matrix.credentials import Credentials, new_store_key
from adapters.matrix.homeserver import MatrixUnusable

OURS = Credentials("https://home.example", "@bot:home.example", "DEVICE", "secret-token", new_store_key())


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "matrix"
    assert not credentials.credentials_exist(folder)
    credentials.save_credentials(folder, OURS)
    assert credentials.credentials_exist(folder)
    assert credentials.load_credentials(folder) == OURS


def test_nobody_else_can_read_them(tmp_path: Path) -> None:
    folder = tmp_path / "matrix"
    folder.mkdir(mode=0o755)
    credentials.save_credentials(folder, OURS)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_those_that_others_may_read_are_refused(mode: int, tmp_path: Path) -> None:
    credentials.save_credentials(tmp_path, OURS)
    (tmp_path / credentials.FILE_NAME).chmod(mode)
    with pytest.raises(MatrixUnusable, match="chmod 600"):
        credentials.load_credentials(tmp_path)


def test_without_a_login_it_says_how_to_log_in(tmp_path: Path) -> None:
    with pytest.raises(MatrixUnusable, match="hearth matrix login"):
        credentials.load_credentials(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"access_token": None}, {"access_token": ""}, {"store_key": "secret-token"}, {"store_key": 7}, {"user_id": ["x"]}],
)
def test_damaged_ones_are_refused_and_not_told(change: dict[str, object], tmp_path: Path) -> None:
    credentials.save_credentials(tmp_path, OURS)
    path = tmp_path / credentials.FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(MatrixUnusable, match="damaged") as refused:
        credentials.load_credentials(tmp_path)
    assert "secret-token" not in str(refused.value)


@pytest.mark.parametrize("text", ["", '{"access_token": "secret-token', "[]", "[" * 100_000, "null"])
def test_what_is_no_file_of_credentials_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / credentials.FILE_NAME
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(MatrixUnusable, match="damaged") as refused:
        credentials.load_credentials(tmp_path)
    assert refused.value.__cause__ is None


def test_nothing_secret_is_in_their_repr() -> None:
    assert "secret-token" not in repr(OURS) and OURS.store_key not in repr(OURS)


def test_every_store_has_a_key_of_its_own() -> None:
    assert len({new_store_key() for _ in range(3)}) == 3

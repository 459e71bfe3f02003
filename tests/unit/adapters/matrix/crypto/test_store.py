"""A store is private and one process's; one that is not as it was left is refused with what to do, and stays."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.matrix.credentials import Credentials, new_store_key
from adapters.matrix.crypto import store
from adapters.matrix.homeserver import MatrixUnusable

OURS = Credentials("https://home.example", "@bot:home.example", "DEVICE", "token", new_store_key())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store that was made and closed."""
    folder = tmp_path / "matrix"
    held = store.create_store(folder, OURS)
    held.machine.save_account()
    held.close()
    return folder


def test_the_keys_are_the_same_after_opening_again(folder: Path) -> None:
    first = store.open_store(folder, OURS)
    fingerprint = first.machine.fingerprint
    first.close()
    second = store.open_store(folder, OURS)
    assert second.machine.fingerprint == fingerprint
    second.close()


def test_every_file_is_private_also_while_it_is_open(folder: Path) -> None:
    folder.chmod(0o755)
    (folder / store.FILE_NAME).chmod(0o644)
    held = store.open_store(folder, OURS)
    held.machine.save_account()
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert f"{store.FILE_NAME}-wal" in modes
    assert set(modes.values()) == {"0o600"}
    held.close()


def test_no_key_lies_there_readable(folder: Path) -> None:
    connection = sqlite3.connect(folder / store.FILE_NAME)
    [[pickled]] = connection.execute("SELECT account FROM accounts").fetchall()
    connection.close()
    for key in ("DEFAULT_KEY", ""):
        with pytest.raises(ValueError):
            store.OlmAccount.from_pickle(bytes(pickled), key)


def test_a_second_one_is_refused_while_it_is_open(folder: Path) -> None:
    held = store.open_store(folder, OURS)
    for opening in (store.open_store, store.create_store):
        with pytest.raises(MatrixUnusable, match="Another process"):
            opening(folder, OURS)
    held.close()
    store.open_store(folder, OURS).close()


def test_a_new_one_never_takes_the_place_of_another(folder: Path) -> None:
    with pytest.raises(MatrixUnusable, match="already"):
        store.create_store(folder, OURS)
    store.open_store(folder, OURS).close()


def rubbish(path: Path) -> None:
    path.write_bytes(b"rubbish" * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def overwrite(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:-4096] = bytes(len(data) - 8192)
    path.write_bytes(data)


def break_rows(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE accounts SET account = 'AAAA'")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("damage", [rubbish, empty, cut, overwrite, break_rows])
def test_a_damaged_one_is_refused_and_left_as_it_is(damage: Callable[[Path], None], folder: Path) -> None:
    path = folder / store.FILE_NAME
    damage(path)
    before = path.read_bytes()
    with pytest.raises(MatrixUnusable, match=r"backup.*hearth matrix login"):
        store.open_store(folder, OURS)
    assert path.read_bytes() == before


def test_a_broken_session_in_it_is_damage_too(folder: Path) -> None:
    connection = sqlite3.connect(folder / store.FILE_NAME)
    connection.execute(
        "INSERT INTO megolminboundsessions (sender_key, account_id, fp_key, room_id, session, session_id)"
        " SELECT 'key', id, 'fp', '!room', 'AAAA', 'session' FROM accounts"
    )
    connection.commit()
    connection.close()
    with pytest.raises(MatrixUnusable, match="damaged"):
        store.open_store(folder, OURS)
    with pytest.raises(MatrixUnusable, match="damaged"):
        store.open_store(folder, OURS)


def test_a_missing_one_is_refused_and_not_made(folder: Path) -> None:
    (folder / store.FILE_NAME).unlink()
    with pytest.raises(MatrixUnusable, match="missing"):
        store.open_store(folder, OURS)
    assert not (folder / store.FILE_NAME).exists()


@pytest.mark.parametrize("other", [{"device_id": "OTHER"}, {"user_id": "@eve:home.example"}])
def test_another_devices_is_refused(other: dict[str, str], folder: Path) -> None:
    with pytest.raises(MatrixUnusable, match="another device's"):
        store.open_store(folder, replace(OURS, **other))


def test_one_with_another_key_is_refused_and_the_key_not_told(folder: Path) -> None:
    other = replace(OURS, store_key=new_store_key())
    with pytest.raises(MatrixUnusable, match="not encrypted with the key") as refused:
        store.open_store(folder, other)
    assert other.store_key not in str(refused.value)
    store.open_store(folder, OURS).close()

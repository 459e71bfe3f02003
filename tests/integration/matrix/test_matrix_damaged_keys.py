"""Keys that are damaged, lost or another device's: Hearth says what to do, and leaves every file as it is."""

import base64
import json
import secrets
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from adapters.matrix import credentials
from adapters.matrix.adapter import FOLDER, MatrixAdapter
from adapters.matrix.crypto import store
from adapters.matrix.homeserver import MatrixUnusable
from adapters.matrix.settings import MatrixSettings
from deploy.dev.homeserver import Person, SynapseServer
from tests.fakes.inbox import FakeInbox
from tests.fakes.matrix_resident import MatrixInstance

Enter = Callable[..., Awaitable[Person]]
Damage = Callable[[Path], None]


@pytest.fixture(scope="session")
def kept_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one data folder is kept for all of these tests; the first of them fills it."""
    return tmp_path_factory.mktemp("used")


@pytest.fixture
async def used(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter, kept_folder: Path, tmp_path: Path
) -> Path:
    """A data folder as Hearth left it that has signed its device and talked in an encrypted room."""
    if not (kept_folder / FOLDER).exists():
        await resident.start()
        ana = await enter(homeserver, "ana")
        room = await ana.direct(resident.user_id, encrypted=True)
        await ana.wait_for(lambda event: (event["room_id"], event["type"]) == (room, "m.room.encrypted"))
        await resident.stop()
        shutil.copytree(resident.folder / FOLDER, kept_folder / FOLDER)
    shutil.copytree(kept_folder / FOLDER, tmp_path / "damaged" / FOLDER)
    return tmp_path / "damaged"


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the lock, which holds nothing."""
    files = (path for path in (folder / FOLDER).iterdir() if path.name != store.LOCK_NAME)
    return {path.name: path.read_bytes() for path in files}


async def refusal(folder: Path) -> str:
    """What Hearth says when it is started on the folder."""
    adapter = MatrixAdapter(MatrixSettings(), folder)
    try:
        with pytest.raises(MatrixUnusable) as refused:
            await adapter.run(FakeInbox())
    finally:
        await adapter.close()
    return str(refused.value)


def cut(size: int) -> Damage:
    """The file system lost all but the beginning."""

    def damage(folder: Path) -> None:
        path = folder / store.FILE_NAME
        path.write_bytes(path.read_bytes()[:size])

    return damage


def flipped(at: Callable[[bytes], int]) -> Damage:
    """One byte is another one."""

    def damage(folder: Path) -> None:
        path = folder / store.FILE_NAME
        data = bytearray(path.read_bytes())
        data[at(bytes(data))] ^= 0xFF
        path.write_bytes(data)

    return damage


def in_the_account(data: bytes) -> int:
    """In the middle of the device's own keys."""
    return data.index(pickled_account(data)[:60]) + 30  # the rest lies on further pages


def pickled_account(data: bytes) -> bytes:
    """The device's own keys as they are in the file."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(data.replace(b"\x02\x02", b"\x01\x01", 1))  # WAL needs a file
        (pickled,) = connection.execute("SELECT account FROM accounts").fetchone()
    return pickled if isinstance(pickled, bytes) else str(pickled).encode()


def in_a_table(data: bytes) -> int:
    """In the first page after the schema, of what kind it is."""
    return int.from_bytes(data[16:18], "big")


def another_program(folder: Path) -> None:
    (folder / store.FILE_NAME).write_bytes(b"nothing of the kind" * 1000)


def another_database(folder: Path) -> None:
    (folder / store.FILE_NAME).unlink()
    with closing(sqlite3.connect(folder / store.FILE_NAME)) as connection:
        connection.execute("CREATE TABLE notes (text)")


def another_device(folder: Path) -> None:
    kept = credentials.load_credentials(folder)
    other = credentials.Credentials(kept.homeserver, kept.user_id, "OTHER", kept.access_token, kept.store_key)
    (folder / store.FILE_NAME).unlink()
    store.create_store(folder, other).close()


def another_key(folder: Path) -> None:
    path = folder / credentials.FILE_NAME
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["store_key"] = base64.b64encode(secrets.token_bytes(32)).decode()
    path.write_text(json.dumps(kept), encoding="utf-8")


def lost(name: str) -> Damage:
    """A file is not there."""
    return lambda folder: (folder / name).unlink()


def overwritten(name: str) -> Damage:
    """A file holds something else."""
    return lambda folder: (folder / name).write_bytes(b"{}") and None


DAMAGES: dict[str, Damage] = {
    "empty": cut(0),
    "cut in the header": cut(60),
    "cut after a page": cut(4096),
    "cut near the end": cut(-5000),
    "header flipped": flipped(lambda _: 3),
    "page flipped": flipped(in_a_table),
    "own keys flipped": flipped(in_the_account),
    "another program's": another_program,
    "another database": another_database,
    "another device's": another_device,
    "another key": another_key,
    "keys lost": lost(store.FILE_NAME),
    "credentials lost": lost(credentials.FILE_NAME),
    "credentials overwritten": overwritten(credentials.FILE_NAME),
    "identity overwritten": overwritten("identity.json"),
}


@pytest.mark.parametrize("damage", [pytest.param(damage, id=name) for name, damage in DAMAGES.items()])
async def test_what_is_damaged_is_refused_with_what_to_do_and_stays_as_it_is(used: Path, damage: Damage) -> None:
    kept = credentials.load_credentials(used / FOLDER)
    damage(used / FOLDER)
    found = contents(used)
    for _ in range(2):
        said = await refusal(used)
        assert "hearth matrix login" in said
        assert not any(secret in said for secret in (kept.access_token, kept.store_key))
    assert contents(used) == found

"""What `hearth doctor` tells about Matrix."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.matrix import credentials as kept
from adapters.matrix.adapter import FOLDER
from adapters.matrix.crypto import store
from adapters.matrix.platform import MATRIX
from bot.cli.checks import check_platform
from bot.config.schema import config_model
from bot.server.folder_lock import FolderLock
from deploy.dev.homeserver import Account, SynapseServer
from tests.homeserver import Capture
from tests.integration.matrix.signed_device import new_credentials, opened


class House:
    """A data folder with a login, and an account on the homeserver."""

    def __init__(self, folder: Path, account: Account, url: str) -> None:
        self.account = account
        self.data = folder
        self.folder = folder / FOLDER
        self.made = new_credentials(url, account, self.folder)

    async def sign(self) -> None:
        async with opened(self.folder, self.made) as device:
            assert (await device.own.check_signature()).is_signed

    def change(self, **changed: str) -> None:
        kept.save_credentials(self.folder, replace(self.made, **changed))

    async def told(self, *, offline: bool = False) -> list[tuple[str, str, str]]:
        return await told(self.data, offline=offline)


async def told(folder: Path, *, offline: bool = False, **settings: object) -> list[tuple[str, str, str]]:
    """What the doctor says of Matrix; never a secret."""
    config = config_model().model_validate({"data_folder": folder, "matrix": {"enabled": True, **settings}})
    found = [
        (check.name, check.status, check.sentence) async for check in check_platform(MATRIX, config, offline=offline)
    ]
    path = folder / FOLDER / kept.FILE_NAME
    secrets = [json.loads(path.read_text())[name] for name in ("access_token", "store_key")] if path.exists() else []
    assert not [secret for secret in secrets if secret in repr(found)]
    return found


@pytest.fixture
async def house(tmp_path: Path, homeserver: SynapseServer, capture: Capture) -> House:
    return House(tmp_path, await homeserver.register("hearth"), capture.url)


async def test_a_login_that_works_with_a_signed_device_is_fine(house: House) -> None:
    await house.sign()
    who = f"{house.made.user_id}, device {house.made.device_id}"
    assert await house.told() == [
        ("matrix", "ok", f"{house.made.homeserver} takes the login as {who}."),
        ("matrix.device", "ok", "This device is signed by its owner."),
    ]


async def test_a_running_hearth_keeps_its_keys_while_it_is_looked_at(house: House) -> None:
    await house.sign()
    lock, held = FolderLock(house.data), store.open_store(house.folder, house.made)
    lock.acquire()
    try:
        assert [status for _, status, _ in await house.told()] == ["ok", "ok"]
    finally:
        held.close()
        lock.release()


async def test_offline_the_homeserver_is_not_asked(house: House, capture: Capture) -> None:
    ((name, status, sentence),) = await house.told(offline=True)
    assert (name, status) == ("matrix", "ok")
    assert house.made.user_id in sentence
    assert capture.requests == []


async def test_a_device_that_is_not_signed_yet_is_a_warning(house: House) -> None:
    async with opened(house.folder, house.made):
        pass
    _, (name, status, sentence) = await house.told()
    assert (name, status) == ("matrix.device", "warning")
    assert "`hearth run` does it" in sentence


async def test_keys_of_another_program_are_a_problem(house: House) -> None:
    await house.sign()
    (house.folder / "identity.json").unlink()
    async with opened(house.folder, house.made):
        pass
    _, (name, status, sentence) = await house.told()
    assert (name, status) == ("matrix.device", "problem")
    assert "hearth matrix login --again" in sentence


async def test_a_device_that_was_logged_out_is_a_problem_with_what_to_do(
    house: House, homeserver: SynapseServer
) -> None:
    await homeserver.log_out(house.account)
    ((name, status, sentence),) = await house.told()
    assert (name, status) == ("matrix", "problem")
    assert "`hearth matrix login --again`" in sentence


async def test_a_token_of_another_device_is_a_problem(house: House) -> None:
    async with opened(house.folder, house.made):
        pass
    changed = replace(house.made, device_id="OTHER")
    (house.folder / store.FILE_NAME).unlink()
    kept.save_credentials(house.folder, changed)
    store.create_store(house.folder, changed).close()
    ((_, status, sentence),) = await house.told()
    assert (status, "not that of device OTHER" in sentence) == ("problem", True)


@pytest.mark.parametrize("fault", ["away", "limited", "down"])
async def test_a_homeserver_that_cannot_be_asked_is_a_warning(house: House, capture: Capture, fault: str) -> None:
    if fault == "away":
        house.change(homeserver="http://127.0.0.1:9")
    else:
        capture.faults.answer("/account/whoami", 429 if fault == "limited" else 503, {"retry_after_ms": 4000})
    ((name, status, sentence),) = await house.told()
    assert (name, status) == ("matrix", "warning")
    assert "could not be tried" in sentence


def others_may_read(folder: Path) -> None:
    (folder / kept.FILE_NAME).chmod(0o644)


def damaged_keys(folder: Path) -> None:
    (folder / store.FILE_NAME).write_bytes(b"nothing of the kind")


def lost_keys(folder: Path) -> None:
    (folder / store.FILE_NAME).unlink()


def damaged_identity(folder: Path) -> None:
    (folder / "identity.json").write_text("{}")


@pytest.mark.parametrize("fault", [others_may_read, damaged_keys, lost_keys, damaged_identity])
async def test_what_is_wrong_with_the_files_is_told_before_anybody_is_asked(
    house: House, capture: Capture, fault: Callable[[Path], None]
) -> None:
    fault(house.folder)
    ((name, status, sentence),) = await house.told()
    assert (name, status) == ("matrix", "problem")
    assert str(house.folder) in sentence
    assert capture.requests == []


async def test_without_a_login_it_says_how_to_log_in(tmp_path: Path) -> None:
    assert await told(tmp_path) == [
        ("matrix", "problem", "Hearth is not logged in to Matrix. Run `hearth matrix login`.")
    ]
    assert not (tmp_path / FOLDER).exists()


async def test_matrix_that_is_switched_off_is_fine(tmp_path: Path) -> None:
    assert await told(tmp_path, enabled=False) == [("matrix", "ok", "Matrix is switched off.")]

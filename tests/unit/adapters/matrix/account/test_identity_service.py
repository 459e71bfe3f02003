import asyncio
import logging
from pathlib import Path

import pytest

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account import identity_service
from adapters.matrix.account.identity import IdentityFile, new_identity
from adapters.matrix.account.identity_service import IdentityService
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable
from tests.fakes.key_server import BOT, PASSWORD, DeviceKeys, KeyServer


@pytest.fixture
def file(tmp_path: Path) -> IdentityFile:
    return IdentityFile(tmp_path, BOT, bytes(32))


@pytest.fixture
def server() -> KeyServer:
    server = KeyServer()
    server.add_device(DeviceKeys())
    return server


async def test_keys_are_on_the_disk_before_they_are_uploaded(server: KeyServer, file: IdentityFile) -> None:
    own = await IdentityService.open(server, DeviceKeys(), file)
    assert file.load() == own.identity
    assert server.calls == []
    assert own.status is None


async def test_the_next_process_has_the_same_keys_and_uploads_nothing(server: KeyServer, file: IdentityFile) -> None:
    first = await IdentityService.open(server, DeviceKeys(), file)
    assert (await first.check_signature()).is_signed
    server.calls.clear()
    second = await IdentityService.open(server, DeviceKeys(), file)
    assert (await second.check_signature()).is_signed
    assert second.identity == first.identity
    assert server.calls == ["query"]


async def test_a_damaged_file_is_not_replaced(server: KeyServer, file: IdentityFile) -> None:
    file.path.write_bytes(b"{}")
    with pytest.raises(MatrixUnusable):
        await IdentityService.open(server, DeviceKeys(), file)
    assert file.path.read_bytes() == b"{}"


async def test_replaced_keys_are_saved_first_and_then_uploaded_with_the_password(
    server: KeyServer, file: IdentityFile
) -> None:
    own = await IdentityService.open(server, DeviceKeys(), file)
    await own.check_signature()
    await own.add_verifier("@ada:home")
    old = own.identity
    await own.replace_keys()
    assert file.load() == own.identity != old
    assert own.verifiers == ()
    assert (await own.check_signature()).state == "foreign_keys"
    assert (await own.check_signature(PASSWORD)).is_signed


async def test_who_has_verified_us_is_known_after_a_restart(server: KeyServer, file: IdentityFile) -> None:
    own = await IdentityService.open(server, DeviceKeys(), file)
    await own.add_verifier("@ada:home")
    again = await IdentityService.open(server, DeviceKeys(), file)
    assert [each.user_id for each in again.verifiers] == ["@ada:home"]
    assert again.verifiers[0].verified_at.tzinfo is not None


async def test_what_changed_is_logged_once(
    server: KeyServer, file: IdentityFile, caplog: pytest.LogCaptureFixture
) -> None:
    file.save(new_identity(BOT))
    own = await IdentityService.open(server, DeviceKeys(), file)
    await own.check_signature()
    caplog.clear()
    server.keys = {}
    await own.replace_keys()
    await (await IdentityService.open(server, DeviceKeys(2), file)).check_signature()
    levels = {record.levelno for record in caplog.records}
    assert levels == {logging.WARNING}
    await own.check_signature()
    caplog.clear()
    await own.check_signature()
    assert caplog.records == []


@pytest.mark.parametrize("error", [TransientFailure("status 502"), ValueError("unforeseen")])
async def test_checks_go_on_whatever_goes_wrong_and_end_when_the_server_logs_us_out(
    server: KeyServer, file: IdentityFile, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(identity_service, "CHECK_INTERVAL_S", 0.0)
    monkeypatch.setattr(identity_service, "RETRY_INTERVAL_S", 0.0)
    own = await IdentityService.open(server, DeviceKeys(), file)
    server.refusing["query"] = error
    keeping = asyncio.create_task(own.keep_signed())
    async with asyncio.timeout(60):
        while own.status is None or not own.status.is_signed:
            await asyncio.sleep(0)
        server.refusing["query"] = LoggedOut(soft=False)
        with pytest.raises(LoggedOut):
            await keeping


async def test_keys_that_could_not_be_saved_are_not_used(server: KeyServer, file: IdentityFile) -> None:
    own = await IdentityService.open(server, DeviceKeys(), file)
    await own.check_signature()
    old = own.identity
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(MatrixUnusable):
        await own.replace_keys()
    assert own.identity == old
    assert (await own.check_signature()).is_signed

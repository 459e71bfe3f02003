"""The account's own keys on a real Synapse: what others see of them, at each start and after each mishap."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.matrix import credentials as kept
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.signing import has_valid_signature
from adapters.matrix.credentials import Credentials
from adapters.matrix.crypto import store
from adapters.matrix.homeserver import MatrixUnusable
from deploy.dev.homeserver import SynapseServer
from deploy.dev.homeserver.account import Account, ask
from tests.integration.matrix.signed_device import SignedDevice, new_credentials, opened


async def served(homeserver: SynapseServer, user_id: str) -> dict[str, Any]:
    """What `/keys/query` shows somebody else of an account."""
    guest = await homeserver.register("guest")
    async with aiohttp.ClientSession(homeserver.url) as session:
        body = {"device_keys": {user_id: []}}
        told = await ask(session, "POST", "/_matrix/client/v3/keys/query", body, guest.access_token)
    return {
        "devices": told["device_keys"][user_id],
        "master": told["master_keys"].get(user_id, {}),
        "self_signing": told["self_signing_keys"].get(user_id, {}),
    }


def assert_chained(shown: dict[str, Any], user_id: str, device_id: str) -> None:
    """Device -> self-signing -> master."""
    (master,), (self_signing,) = (shown[name]["keys"].values() for name in ("master", "self_signing"))
    assert has_valid_signature(shown["self_signing"], user_id, master)
    assert has_valid_signature(shown["devices"][device_id], user_id, self_signing)


async def another_device(homeserver: SynapseServer, account: Account, folder: Path, old: Credentials) -> Credentials:
    """A new login with the key of the old store, as `hearth matrix login --again` makes it."""
    new = await homeserver.log_in(account)
    made = Credentials(homeserver.url, new.user_id, new.device_id, new.access_token, old.store_key)
    (folder / store.FILE_NAME).unlink()
    kept.save_credentials(folder, made)
    store.create_store(folder, made).close()
    return made


async def test_others_see_the_device_signed_and_a_restart_changes_nothing(
    homeserver: SynapseServer, tmp_path: Path
) -> None:
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made) as bot:
        assert (await bot.own.check_signature()).is_signed
    first = await served(homeserver, account.user_id)
    assert_chained(first, account.user_id, account.device_id)
    async with opened(tmp_path, made) as bot:
        assert (await bot.own.check_signature()).is_signed
    assert await served(homeserver, account.user_id) == first


async def test_a_new_login_is_signed_by_the_keys_that_were_kept(homeserver: SynapseServer, tmp_path: Path) -> None:
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made) as bot:
        await bot.own.check_signature()
    first = await served(homeserver, account.user_id)
    again = await another_device(homeserver, account, tmp_path, made)
    async with opened(tmp_path, again) as bot:
        assert (await bot.own.check_signature()).is_signed
    second = await served(homeserver, account.user_id)
    assert (second["master"], second["self_signing"]) == (first["master"], first["self_signing"])
    assert_chained(second, account.user_id, again.device_id)
    assert_chained(second, account.user_id, account.device_id)


async def test_lost_keys_are_reported_and_replaced_with_the_password_only(
    homeserver: SynapseServer, tmp_path: Path
) -> None:
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made) as bot:
        await bot.own.check_signature()
    first = await served(homeserver, account.user_id)
    (tmp_path / "identity.json").unlink()
    async with opened(tmp_path, made) as bot:
        assert (await bot.own.check_signature()).state == "foreign_keys"
        assert await served(homeserver, account.user_id) == first
        assert (await bot.own.check_signature("not the password")).state == "password_wrong"
        assert await served(homeserver, account.user_id) == first
        assert (await bot.own.check_signature(account.password)).is_signed
    second = await served(homeserver, account.user_id)
    assert second["master"] != first["master"]
    assert_chained(second, account.user_id, account.device_id)


async def test_keys_of_another_program_are_not_fought_over(homeserver: SynapseServer, tmp_path: Path) -> None:
    account = await homeserver.register("hearth")
    ours = new_credentials(homeserver.url, account, tmp_path / "ours")
    other = new_credentials(homeserver.url, await homeserver.log_in(account), tmp_path / "other")
    async with opened(tmp_path / "ours", ours) as bot, opened(tmp_path / "other", other) as program:
        assert (await bot.own.check_signature()).is_signed
        assert (await program.own.check_signature(account.password)).is_signed
        theirs = await served(homeserver, account.user_id)
        for _ in range(3):
            assert (await bot.own.check_signature()).state == "foreign_keys"
        assert await served(homeserver, account.user_id) == theirs
        # Synapse never takes a master key twice, so ours are made anew when the admin wants them back.
        await bot.own.replace_keys()
        assert (await bot.own.check_signature(account.password)).is_signed
    shown = await served(homeserver, account.user_id)
    assert_chained(shown, account.user_id, account.device_id)
    assert list(shown["master"]["keys"].values()) == [bot.own.identity.master.public_key]


async def test_a_device_whose_keys_the_server_forgot_is_told(homeserver: SynapseServer, tmp_path: Path) -> None:
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made) as bot:
        await bot.own.check_signature()
        other = SignedDevice(bot.client, bot.own, bot.desk, [])
        bot.client.device_id = "NEVERHEARD"
        assert (await other.own.check_signature()).state == "device_unknown"


async def test_a_damaged_identity_stops_the_start_and_stays_as_it_is(homeserver: SynapseServer, tmp_path: Path) -> None:
    account = await homeserver.register("hearth")
    made = new_credentials(homeserver.url, account, tmp_path)
    async with opened(tmp_path, made) as bot:
        await bot.own.check_signature()
    file = IdentityFile.for_account(tmp_path, made).path
    file.write_bytes(file.read_bytes()[:-40])
    damaged = file.read_bytes()
    first = await served(homeserver, account.user_id)
    with pytest.raises(MatrixUnusable, match="damaged"):
        async with opened(tmp_path, made):
            pass
    assert file.read_bytes() == damaged
    assert await served(homeserver, account.user_id) == first

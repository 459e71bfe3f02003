"""A login and what it sets up on disk and on a real Synapse: the first one, later ones, and those that fail."""

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.matrix import credentials as kept
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.login import AccessTokenLogin, AccountConnection, PasswordLogin
from adapters.matrix.account.setup import AccountSetup, find_earlier_login, set_up_account
from adapters.matrix.api.discovery import discover_homeserver
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable
from deploy.dev.homeserver import SynapseServer
from deploy.dev.homeserver.account import Account
from tests.integration.matrix.signed_device import new_credentials, opened
from tests.integration.matrix.test_identity import assert_chained, served


class House:
    """A data folder, and an account on the homeserver."""

    def __init__(self, folder: Path, homeserver: SynapseServer, account: Account) -> None:
        self.folder = folder
        self.homeserver = homeserver
        self.account = account

    @property
    def kept(self) -> kept.Credentials:
        return kept.load_credentials(self.folder)

    @contextlib.asynccontextmanager
    async def logging_in(self, means: PasswordLogin | AccessTokenLogin | None = None) -> AsyncIterator[AccountSetup]:
        means = means or PasswordLogin(self.account.user_id, self.account.password)
        before = await find_earlier_login(self.folder)
        async with set_up_account(self.folder, self.homeserver.url, means, before) as account:
            yield account

    async def log_in(self, means: PasswordLogin | AccessTokenLogin | None = None) -> AccountSetup:
        """As the command does it, as long as the server takes the keys."""
        async with self.logging_in(means) as account:
            assert (await account.identity.check_signature()).is_signed
        return account

    async def log_device_out(self) -> None:
        await self.homeserver.log_out(Account(self.account.user_id, "", "", self.kept.device_id))

    async def assert_signed(self) -> None:
        shown = await served(self.homeserver, self.account.user_id)
        assert_chained(shown, self.account.user_id, self.kept.device_id)


@pytest.fixture
async def house(tmp_path: Path, homeserver: SynapseServer) -> House:
    return House(tmp_path / "matrix", homeserver, await homeserver.register("hearth"))


async def test_everything_that_a_login_leaves_is_private_and_no_password_is_in_it(house: House) -> None:
    account = await house.log_in()
    assert account.is_new_device
    await house.assert_signed()
    files = [path for path in house.folder.iterdir() if path.is_file()]
    assert {"credentials.json", "identity.json", "keys.sqlite3"} <= {path.name for path in files}
    assert stat.S_IMODE(house.folder.stat().st_mode) == 0o700
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert house.account.password.encode() not in path.read_bytes()


async def test_a_second_login_gets_into_the_same_device(house: House) -> None:
    await house.log_in()
    first, shown = house.kept, await served(house.homeserver, house.account.user_id)
    account = await house.log_in()
    assert not account.is_new_device
    assert (house.kept.device_id, house.kept.store_key) == (first.device_id, first.store_key)
    assert house.kept.access_token != first.access_token
    assert await served(house.homeserver, house.account.user_id) == shown


async def test_a_device_that_was_logged_out_is_followed_by_a_new_one_with_the_same_identity(house: House) -> None:
    await house.log_in()
    first, shown = house.kept, await served(house.homeserver, house.account.user_id)
    await house.log_device_out()
    account = await house.log_in()
    assert account.is_new_device
    assert house.kept.device_id != first.device_id
    after = await served(house.homeserver, house.account.user_id)
    assert after["master"] == shown["master"]
    await house.assert_signed()
    assert account.old_store == house.folder / f"keys.sqlite3.{first.device_id}"
    assert account.old_store.is_file()


async def test_a_damaged_key_store_is_put_aside_and_its_device_logged_out(house: House) -> None:
    await house.log_in()
    first = house.kept
    (house.folder / "keys.sqlite3").write_bytes(b"damaged" * 1000)
    account = await house.log_in()
    assert account.old_store is not None
    assert account.old_store.read_bytes() == b"damaged" * 1000
    shown = await served(house.homeserver, house.account.user_id)
    assert set(shown["devices"]) == {house.kept.device_id} != {first.device_id}
    await house.assert_signed()


async def test_a_lost_key_store_is_no_hindrance(house: House) -> None:
    await house.log_in()
    (house.folder / "keys.sqlite3").unlink()
    account = await house.log_in()
    assert (account.is_new_device, account.old_store) == (True, None)
    await house.assert_signed()


async def test_a_token_of_a_device_without_keys_is_as_good_as_a_password(house: House) -> None:
    token, device_id = house.account.access_token, house.account.device_id
    await house.log_in(AccessTokenLogin(token, device_id))
    assert (house.kept.device_id, house.kept.access_token) == (device_id, token)
    await house.assert_signed()
    assert not (await house.log_in(AccessTokenLogin(token, device_id))).is_new_device


async def test_a_token_of_a_device_with_keys_of_another_program_is_refused(house: House, tmp_path: Path) -> None:
    made = new_credentials(house.homeserver.url, house.account, tmp_path / "element")
    async with opened(tmp_path / "element", made):
        pass
    before = await served(house.homeserver, house.account.user_id)
    with pytest.raises(MatrixUnusable, match="keys of another program"):
        await house.log_in(AccessTokenLogin(made.access_token, made.device_id))
    assert not kept.credentials_exist(house.folder)
    assert await served(house.homeserver, house.account.user_id) == before


@pytest.mark.parametrize(
    ("means", "sentence"),
    [
        (PasswordLogin("@nobody:house.test", "x"), "does not accept this user and password"),
        (AccessTokenLogin("x", "DEVICE"), "does not know this access token"),
    ],
)
async def test_a_login_that_the_server_refuses_leaves_nothing(
    house: House, means: PasswordLogin | AccessTokenLogin, sentence: str
) -> None:
    with pytest.raises(MatrixUnusable, match=sentence):
        await house.log_in(means)
    assert not house.folder.exists()


async def test_a_token_of_another_device_than_was_named_is_refused(house: House) -> None:
    with pytest.raises(MatrixUnusable, match=f"belongs to device {house.account.device_id}, not to OTHER"):
        await house.log_in(AccessTokenLogin(house.account.access_token, "OTHER"))


async def test_another_account_does_not_get_into_the_folder(house: House) -> None:
    await house.log_in()
    first = house.kept
    other = await house.homeserver.register("other")
    with pytest.raises(MatrixUnusable, match=f"belongs to {first.user_id}"):
        await house.log_in(PasswordLogin(other.user_id, other.password))
    assert house.kept == first
    # The device that this login made is gone again.
    assert set((await served(house.homeserver, other.user_id))["devices"]) == set()


async def test_the_remains_of_a_login_without_its_credentials_are_not_replaced(house: House) -> None:
    await house.log_in()
    (house.folder / "credentials.json").unlink()
    before = {path.name: path.read_bytes() for path in house.folder.iterdir()}
    with pytest.raises(MatrixUnusable, match="move it away"):
        await house.log_in()
    assert {path.name: path.read_bytes() for path in house.folder.iterdir()} == before


async def test_a_damaged_identity_is_told_before_anybody_logs_in(house: House) -> None:
    await house.log_in()
    first, file = house.kept, IdentityFile.for_account(house.folder, house.kept).path
    file.write_bytes(b"{}")
    with pytest.raises(MatrixUnusable, match=r"identity\.json"):
        await house.log_in()
    assert (house.kept, file.read_bytes()) == (first, b"{}")


async def test_a_folder_that_cannot_be_written_is_told_and_the_new_device_is_gone_again(house: House) -> None:
    house.folder.write_bytes(b"a file in the way")
    with pytest.raises(MatrixUnusable, match="cannot be"):
        await house.log_in()
    assert set((await served(house.homeserver, house.account.user_id))["devices"]) == set()


async def test_a_login_that_the_server_limits_tells_how_long(tmp_path: Path) -> None:
    slow = {"per_second": 0.003, "burst_count": 1}
    server = SynapseServer(settings={"rc_login": {"address": slow, "account": slow, "failed_attempts": slow}})
    try:
        await server.start()
        house = House(tmp_path / "matrix", server, await server.register("hearth"))
        with pytest.raises(MatrixUnusable):
            await house.log_in(PasswordLogin(house.account.user_id, "wrong"))
        with pytest.raises(MatrixUnusable, match=r"no more logins for now: try again in \d+ (minutes|seconds)"):
            await house.log_in()
        assert not house.folder.exists()
    finally:
        server.close()


async def test_a_soft_logout_is_followed_by_a_login_into_the_same_device(tmp_path: Path) -> None:
    server = SynapseServer(settings={"session_lifetime": "15s"})
    try:
        await server.start()
        house = House(tmp_path / "matrix", server, await server.register("hearth"))
        await house.log_in()
        first = house.kept
        connection = AccountConnection(first)
        with pytest.raises(LoggedOut) as logged_out:
            async with asyncio.timeout(60):
                while await connection.call_api("GET", "/v3/account/whoami"):
                    await asyncio.sleep(0.5)
        await connection.close()
        assert logged_out.value.soft
        account = await house.log_in()
        assert not account.is_new_device
        assert (house.kept.device_id, house.kept.store_key) == (first.device_id, first.store_key)
    finally:
        server.close()


async def test_the_address_of_a_homeserver_is_checked(homeserver: SynapseServer) -> None:
    assert (await discover_homeserver(f" {homeserver.url}/ ")).homeserver == homeserver.url
    with pytest.raises(MatrixUnusable, match=r"no Matrix homeserver at http://127\.0\.0\.1:9"):
        await discover_homeserver("http://127.0.0.1:9")

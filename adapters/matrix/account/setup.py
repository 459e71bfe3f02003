"""Setup of an account on disk after a login: credentials, key store, own keys; and detection of an earlier login."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.delivery.errors import TransientFailure
from adapters.matrix import credentials as credentials_file
from adapters.matrix.account import identity
from adapters.matrix.account.cross_signing import KEYS_QUERY, get_nested
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.identity_service import IdentityService
from adapters.matrix.account.login import (
    AccessTokenLogin,
    AccountConnection,
    LoginResult,
    PasswordLogin,
    device_exists,
    log_in,
    log_out,
    with_new_token,
)
from adapters.matrix.api.failures import error_sentence
from adapters.matrix.client import MatrixClient
from adapters.matrix.credentials import Credentials, new_store_key
from adapters.matrix.crypto import store
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, RequestRefused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EarlierLogin:
    """The state of an earlier login. `usable`: its device's keys are here, and the homeserver still has the device."""

    credentials: Credentials
    usable: bool


@dataclass(frozen=True, slots=True)
class AccountSetup:
    """An account after setup; its device may not be signed yet. `old_store`: the moved store of a replaced device."""

    login: LoginResult
    identity: IdentityService
    is_new_device: bool
    old_store: Path | None


async def find_earlier_login(folder: Path) -> EarlierLogin | None:
    """The earlier login in this folder; None when there was none.

    Raises MatrixUnusable when it cannot be read: without its credentials the rest of a folder is useless.
    """
    if not credentials_file.credentials_exist(folder):
        left = [name for name in (identity.FILE_NAME, store.FILE_NAME) if (folder / name).exists()]
        if left:
            raise MatrixUnusable(
                f"{folder} holds {' and '.join(left)} of an earlier login, but not its"
                f" {credentials_file.FILE_NAME}, without which they cannot be read. Put a backup of the folder back, or"
                " move it away, and log in again."
            )
        return None
    credentials = credentials_file.load_credentials(folder)
    IdentityFile.for_account(folder, credentials).load()
    try:
        store.open_store(folder, credentials).close()
    except MatrixUnusable as error:
        log.warning("%s", error)
        return EarlierLogin(credentials, usable=False)
    return EarlierLogin(credentials, usable=await device_exists(credentials) is not False)


@asynccontextmanager
async def set_up_account(
    folder: Path, homeserver: str, login: PasswordLogin | AccessTokenLogin, earlier: EarlierLogin | None
) -> AsyncIterator[AccountSetup]:
    """Log in and set up the account: as the device of an earlier login where that is usable, else as a new one.

    The account's own keys are kept either way. Raises MatrixUnusable with the remedy; existing files stay until the
    login has worked.
    """
    device_id = earlier.credentials.device_id if earlier is not None and earlier.usable else ""
    access = await log_in(homeserver, login, device_id)
    try:
        is_new = earlier is None or not earlier.usable or access.device_id != device_id
        old_store = await _write_account(folder, access, earlier, is_new=is_new)
    except MatrixUnusable:
        if isinstance(login, PasswordLogin) and access.device_id != device_id:
            await log_out(access)
        raise
    credentials = credentials_file.load_credentials(folder)
    client = MatrixClient.open(folder, credentials)
    try:
        await _publish_keys(client)
        identity_service = await IdentityService.open(client, client, IdentityFile.for_account(folder, credentials))
        yield AccountSetup(access, identity_service, is_new, old_store)
    finally:
        await client.close()


async def _write_account(
    folder: Path, access: LoginResult, earlier: EarlierLogin | None, *, is_new: bool
) -> Path | None:
    """Write the files that the next process needs; the new path of an earlier device's store, if it was moved."""
    if earlier is not None and earlier.credentials.user_id != access.user_id:
        raise MatrixUnusable(
            f"{folder} belongs to {earlier.credentials.user_id}, and this login is {access.user_id}'s. Move the folder"
            " away to start over, or give Hearth another data folder."
        )
    if not is_new:
        assert earlier is not None
        credentials_file.save_credentials(folder, with_new_token(earlier.credentials, access))
        return None
    await _check_unused(access)
    store_key = earlier.credentials.store_key if earlier is not None else new_store_key()
    old_store = _move_store_away(folder, earlier.credentials.device_id) if earlier is not None else None
    credentials_file.save_credentials(folder, access.to_credentials(store_key))
    store.create_store(folder, access.to_credentials(store_key)).close()
    if earlier is not None and earlier.credentials.device_id != access.device_id:
        await log_out(earlier.credentials)
    return old_store


async def _check_unused(access: LoginResult) -> None:
    """Refuse a device with keys of another program: our keys would break it."""
    connection = AccountConnection(access)
    try:
        response = await connection.call_api("POST", KEYS_QUERY, {"device_keys": {access.user_id: []}})
    except (TransientFailure, RequestRefused, LoggedOut) as error:
        raise MatrixUnusable(f"The homeserver could not be asked about the new device: {error}. Try again.") from error
    finally:
        await connection.close()
    if get_nested(response, "device_keys", access.user_id, access.device_id, "keys"):
        raise MatrixUnusable(
            f"Device {access.device_id} already has keys of another program. Give Hearth a device of its own: log in"
            " with the password, or get a token for a new device."
        )


def _move_store_away(folder: Path, device_id: str) -> Path | None:
    """Move the store of an earlier device out of the way; nothing is deleted."""
    path = folder / store.FILE_NAME
    if not path.exists():
        return None
    safe = "".join(letter for letter in device_id if letter.isalnum())
    number, target = 1, folder / f"{path.name}.{safe}"
    while target.exists():
        number, target = number + 1, folder / f"{path.name}.{safe}.{number}"
    try:
        for ending in ("", "-wal", "-shm"):
            journal = path.with_name(path.name + ending)
            if journal.exists():
                journal.rename(target.with_name(target.name + ending))
    except OSError as error:
        raise MatrixUnusable(f"The old key store in {folder} cannot be moved away: {error.strerror}.") from error
    return target


async def _publish_keys(client: MatrixClient) -> None:
    try:
        await client.publish_keys()
    except RequestRefused as error:
        raise MatrixUnusable(f"The homeserver did not accept the device's keys. {error_sentence(error)}") from error
    except (TransientFailure, LoggedOut) as error:
        raise MatrixUnusable(
            f"Logged in, but the device's keys are not on the homeserver yet: {error}. `hearth run` uploads them."
        ) from error

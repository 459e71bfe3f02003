"""Sets an account up on disk after a login: credentials, key store, own keys; and finds what an earlier login left."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.matrix import credentials as kept
from adapters.matrix.account import identity
from adapters.matrix.account.cross_signing import QUERY, inner
from adapters.matrix.account.identity import IdentityFile
from adapters.matrix.account.identity_service import OwnKeys
from adapters.matrix.account.login import Access, Connection, Password, Token, knows_token, log_in, log_out, renewed
from adapters.matrix.api.failures import sentence
from adapters.matrix.client import Client
from adapters.matrix.credentials import Credentials, new_store_key
from adapters.matrix.crypto import store
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, Refused, Unsettled

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier login left. `usable`: its device's keys are here, and the homeserver still has the device."""

    credentials: Credentials
    usable: bool


@dataclass(frozen=True, slots=True)
class SetUp:
    """An account that is set up, except that its device may not be signed yet. `put_aside`: a store of no more use."""

    access: Access
    own: OwnKeys
    is_new_device: bool
    put_aside: Path | None


async def earlier(folder: Path) -> Earlier | None:
    """What an earlier login left; None when there was none.

    Raises MatrixUnusable when that cannot be read: without its credentials the rest of a folder is of no use.
    """
    if not kept.exist(folder):
        left = [name for name in (identity.FILE_NAME, store.FILE_NAME) if (folder / name).exists()]
        if left:
            raise MatrixUnusable(
                f"{folder} holds {' and '.join(left)} of an earlier login, but not its {kept.FILE_NAME}, without which"
                " they cannot be read. Put a backup of the folder back, or move it away, and log in again."
            )
        return None
    credentials = kept.load(folder)
    IdentityFile.beside(folder, credentials).load()
    try:
        store.open_store(folder, credentials).close()
    except MatrixUnusable as error:
        log.warning("%s", error)
        return Earlier(credentials, usable=False)
    return Earlier(credentials, usable=await knows_token(credentials) is not False)


@asynccontextmanager
async def setting_up(
    folder: Path, homeserver: str, means: Password | Token, before: Earlier | None
) -> AsyncIterator[SetUp]:
    """Log in, and set the account up: into the device of an earlier login where that is usable, else into a new one.

    The own keys are kept either way. Raises MatrixUnusable with what to do; what was there before stays until the
    login has worked.
    """
    wanted = before.credentials.device_id if before is not None and before.usable else ""
    access = await log_in(homeserver, means, wanted)
    try:
        is_new = before is None or not before.usable or access.device_id != wanted
        put_aside = await _keep(folder, access, before, is_new=is_new)
    except MatrixUnusable:
        if isinstance(means, Password) and access.device_id != wanted:
            await log_out(access)
        raise
    credentials = kept.load(folder)
    client = Client.open(folder, credentials)
    try:
        await _publish(client)
        own = await OwnKeys.open(client, client, IdentityFile.beside(folder, credentials))
        yield SetUp(access, own, is_new, put_aside)
    finally:
        await client.close()


async def _keep(folder: Path, access: Access, before: Earlier | None, *, is_new: bool) -> Path | None:
    """Write what the next process needs; gives where the store of an earlier device lies now."""
    if before is not None and before.credentials.user_id != access.user_id:
        raise MatrixUnusable(
            f"{folder} belongs to {before.credentials.user_id}, and this login is {access.user_id}'s. Move the folder"
            " away to begin anew, or give Hearth another data folder."
        )
    if not is_new:
        assert before is not None
        kept.save(folder, renewed(before.credentials, access))
        return None
    await _check_unused(access)
    store_key = before.credentials.store_key if before is not None else new_store_key()
    put_aside = _put_aside(folder, before.credentials.device_id) if before is not None else None
    kept.save(folder, access.credentials(store_key))
    store.create(folder, access.credentials(store_key)).close()
    if before is not None and before.credentials.device_id != access.device_id:
        await log_out(before.credentials)
    return put_aside


async def _check_unused(access: Access) -> None:
    """A device with keys of another program would be broken by keys of ours."""
    connection = Connection(access)
    try:
        told = await connection.call("POST", QUERY, {"device_keys": {access.user_id: []}})
    except (Unsettled, Refused, LoggedOut) as error:
        raise MatrixUnusable(f"The homeserver could not be asked about the new device: {error}. Try again.") from error
    finally:
        await connection.close()
    if inner(told, "device_keys", access.user_id, access.device_id, "keys"):
        raise MatrixUnusable(
            f"Device {access.device_id} has keys of another program already. Give Hearth a device of its own: log in"
            " with the password, or get a token for a new device."
        )


def _put_aside(folder: Path, device_id: str) -> Path | None:
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


async def _publish(client: Client) -> None:
    try:
        await client.publish()
    except Refused as error:
        raise MatrixUnusable(f"The homeserver did not take the device's keys. {sentence(error)}") from error
    except (Unsettled, LoggedOut) as error:
        raise MatrixUnusable(
            f"Logged in, but the device's keys are not at the homeserver yet: {error}. `hearth run` goes on with it."
        ) from error

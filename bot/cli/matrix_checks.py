"""The doctor's look at Matrix: what a login left on this machine, and what the homeserver makes of it."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from bot.cli.checks import Check, Status
from bot.config.loading import Config
from bot.server.folder_lock import owner_pid

if TYPE_CHECKING:
    from adapters.matrix.account.identity import Identity
    from adapters.matrix.credentials import Credentials

# Imported only where they are used: the library of a platform is slow to load.


async def check_matrix(config: Config, *, offline: bool) -> AsyncIterator[Check]:
    """Whether there is a login that only this user can read and, unless `offline`, whether the homeserver still takes
    it and shows its device as signed. Ends at the first thing that keeps the next from being looked at.
    """
    if not config.matrix.enabled:
        yield Check("matrix", "ok", "Matrix is switched off.")
        return
    from adapters.matrix.homeserver import MatrixUnusable

    try:
        credentials, identity = _stored_login(config)
    except MatrixUnusable as error:
        yield Check("matrix", "problem", str(error))
        return
    who = f"{credentials.user_id}, device {credentials.device_id}"
    if offline:
        yield Check("matrix", "ok", f"Logged in as {who}; {credentials.homeserver} was not asked about it.")
        return
    account = await _check_login(credentials, config.matrix.request_timeout_s)
    yield account or Check("matrix", "ok", f"{credentials.homeserver} takes the login as {who}.")
    if account is None:
        yield await _check_device(credentials, identity, config.matrix.request_timeout_s)


def _stored_login(config: Config) -> "tuple[Credentials, Identity | None]":
    """What lies on the disk. Raises MatrixUnusable. The key store is opened too, unless a running Hearth has it."""
    from adapters.matrix.account.identity import IdentityFile
    from adapters.matrix.credentials import load_credentials
    from adapters.matrix.crypto.store import open_store
    from adapters.matrix.ids import PLATFORM

    folder = config.data_folder / PLATFORM
    credentials = load_credentials(folder)
    identity = IdentityFile.for_account(folder, credentials).load()
    if not owner_pid(config.data_folder):
        open_store(folder, credentials).close()
    return credentials, identity


async def _check_login(credentials: "Credentials", timeout_s: float) -> Check | None:
    """What is wrong with the login; None when nothing is."""
    from adapters.delivery.errors import TransientFailure
    from adapters.matrix.account.login import AccountConnection
    from adapters.matrix.api.failures import as_admin_error, error_sentence
    from adapters.matrix.homeserver import LoggedOut, RequestRefused

    connection = AccountConnection(credentials, timeout_s)
    try:
        told = await connection.call_api("GET", "/v3/account/whoami")
    except LoggedOut as error:
        return Check("matrix", "problem", str(as_admin_error(error)))
    except RequestRefused as error:
        return Check("matrix", "problem", f"{credentials.homeserver} does not take the login. {error_sentence(error)}")
    except TransientFailure as error:
        untried = f"{credentials.homeserver}: {error}, so the login could not be tried."
        return Check("matrix", "warning", f"{untried} `hearth run` waits until it can be.")
    finally:
        await connection.close()
    if (told.get("user_id"), told.get("device_id")) != (credentials.user_id, credentials.device_id):
        again = "Run `hearth matrix login --again`."
        return Check("matrix", "problem", f"The access token is not that of device {credentials.device_id}. {again}")
    return None


async def _check_device(credentials: "Credentials", identity: "Identity | None", timeout_s: float) -> Check:
    from adapters.delivery.errors import TransientFailure
    from adapters.matrix.account.cross_signing import SigningStatus, query_status
    from adapters.matrix.account.login import AccountConnection
    from adapters.matrix.homeserver import LoggedOut

    connection = AccountConnection(credentials, timeout_s)
    try:
        standing = await query_status(connection, identity) if identity is not None else SigningStatus("unsigned")
    except (TransientFailure, LoggedOut) as error:
        return Check("matrix.device", "warning", f"Whether the device is signed could not be asked: {error}.")
    finally:
        await connection.close()
    if standing.is_signed:
        return Check("matrix.device", "ok", str(standing))
    status: Status = "warning" if standing.state == "unsigned" else "problem"
    return Check("matrix.device", status, f"{standing} Until then, many clients do not talk to Hearth.")

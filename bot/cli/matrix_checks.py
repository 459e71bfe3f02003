"""The doctor's look at Matrix: what a login left on this machine, and what the homeserver makes of it."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from bot.cli.checks import Check, Status
from bot.config.loading import Config
from bot.server.folder_lock import owner_of

if TYPE_CHECKING:
    from adapters.matrix.account.identity import Identity
    from adapters.matrix.credentials import Credentials

# Imported only where they are used: the library of a platform is slow to load.


async def matrix(config: Config, *, offline: bool) -> AsyncIterator[Check]:
    """Whether there is a login that only this user can read and, unless `offline`, whether the homeserver still takes
    it and shows its device as signed. Ends at the first thing that keeps the next from being looked at.
    """
    if not config.matrix.enabled:
        yield Check("matrix", "ok", "Matrix is switched off.")
        return
    from adapters.matrix.homeserver import MatrixUnusable

    try:
        credentials, identity = _kept(config)
    except MatrixUnusable as error:
        yield Check("matrix", "problem", str(error))
        return
    who = f"{credentials.user_id}, device {credentials.device_id}"
    if offline:
        yield Check("matrix", "ok", f"Logged in as {who}; {credentials.homeserver} was not asked about it.")
        return
    account = await _account(credentials, config.matrix.request_timeout_s)
    yield account or Check("matrix", "ok", f"{credentials.homeserver} takes the login as {who}.")
    if account is None:
        yield await _device(credentials, identity, config.matrix.request_timeout_s)


def _kept(config: Config) -> "tuple[Credentials, Identity | None]":
    """What lies on the disk. Raises MatrixUnusable. The key store is opened too, unless a running Hearth has it."""
    from adapters.matrix.account.identity import IdentityFile
    from adapters.matrix.credentials import load
    from adapters.matrix.crypto.store import open_store
    from adapters.matrix.ids import PLATFORM

    folder = config.data_folder / PLATFORM
    credentials = load(folder)
    identity = IdentityFile.beside(folder, credentials).load()
    if not owner_of(config.data_folder):
        open_store(folder, credentials).close()
    return credentials, identity


async def _account(credentials: "Credentials", timeout_s: float) -> Check | None:
    """What is wrong with the login; None when nothing is."""
    from adapters.matrix.account.login import Connection
    from adapters.matrix.api.failures import sentence, unusable
    from adapters.matrix.homeserver import LoggedOut, Refused, Unsettled

    connection = Connection(credentials, timeout_s)
    try:
        told = await connection.call("GET", "/v3/account/whoami")
    except LoggedOut as error:
        return Check("matrix", "problem", str(unusable(error)))
    except Refused as error:
        return Check("matrix", "problem", f"{credentials.homeserver} does not take the login. {sentence(error)}")
    except Unsettled as error:
        untried = f"{credentials.homeserver}: {error}, so the login could not be tried."
        return Check("matrix", "warning", f"{untried} `hearth run` waits until it can be.")
    finally:
        await connection.close()
    if (told.get("user_id"), told.get("device_id")) != (credentials.user_id, credentials.device_id):
        again = "Run `hearth matrix login --again`."
        return Check("matrix", "problem", f"The access token is not that of device {credentials.device_id}. {again}")
    return None


async def _device(credentials: "Credentials", identity: "Identity | None", timeout_s: float) -> Check:
    from adapters.matrix.account.cross_signing import Standing, look
    from adapters.matrix.account.login import Connection
    from adapters.matrix.homeserver import LoggedOut, Unsettled

    connection = Connection(credentials, timeout_s)
    try:
        standing = await look(connection, identity) if identity is not None else Standing("unsigned")
    except (Unsettled, LoggedOut) as error:
        return Check("matrix.device", "warning", f"Whether the device is signed could not be asked: {error}.")
    finally:
        await connection.close()
    if standing.is_signed:
        return Check("matrix.device", "ok", str(standing))
    status: Status = "warning" if standing.state == "unsigned" else "problem"
    return Check("matrix.device", status, f"{standing} Until then, many clients do not talk to Hearth.")

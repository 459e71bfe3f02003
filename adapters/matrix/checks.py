"""Doctor checks of Matrix: the login stored on this machine, and the homeserver's view of it."""

from collections.abc import AsyncIterator
from pathlib import Path

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.cross_signing import SigningStatus, query_status
from adapters.matrix.account.identity import Identity, IdentityFile
from adapters.matrix.account.login import AccountConnection
from adapters.matrix.api.failures import as_admin_error, error_sentence
from adapters.matrix.credentials import Credentials, load_credentials
from adapters.matrix.crypto.store import open_store
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, RequestRefused
from adapters.matrix.ids import PLATFORM, conversation_id
from adapters.matrix.settings import MatrixSettings
from adapters.matrix.sync.sync_state import SyncState
from adapters.platform import Check, CheckContext, CheckStatus


async def check_account(settings: MatrixSettings, context: CheckContext) -> AsyncIterator[Check]:
    """Whether there is a login that only this user can read and, unless offline, whether the homeserver accepts it and
    shows its device as signed. Stops at the first fault that prevents the next check.
    """
    try:
        credentials, identity = _stored_login(context.data_folder / PLATFORM, context.is_running)
    except MatrixUnusable as error:
        yield Check(PLATFORM, "problem", str(error))
        return
    async for each in _check_replaced_rooms(context):
        yield each
    who = f"{credentials.user_id}, device {credentials.device_id}"
    if context.offline:
        yield Check(PLATFORM, "ok", f"Logged in as {who}; {credentials.homeserver} was not asked about it.")
        return
    refusal = await _check_login(credentials, settings.request_timeout_s)
    yield refusal or Check(PLATFORM, "ok", f"{credentials.homeserver} takes the login as {who}.")
    if refusal is None:
        yield await _check_device(credentials, identity, settings.request_timeout_s)


def _stored_login(folder: Path, is_running: bool) -> tuple[Credentials, Identity | None]:
    """The stored login. Raises MatrixUnusable. The key store is opened too, unless a running Hearth has it open."""
    credentials = load_credentials(folder)
    identity = IdentityFile.for_account(folder, credentials).load()
    if not is_running:
        open_store(folder, credentials).close()
    return credentials, identity


async def _check_replaced_rooms(context: CheckContext) -> AsyncIterator[Check]:
    """Warnings about upgraded rooms whose old id has documents, and whose new one has not."""
    sync_state = SyncState(context.data_folder / PLATFORM)
    await sync_state.load()
    await sync_state.close()
    for new, old in sync_state.saved.replaced.items():
        reader, missing = conversation_id(old), conversation_id(new)
        if reader in context.readers and missing not in context.readers:
            sentence = f"The room {old} was upgraded to {new}, in which the documents of `{reader}` are not read."
            yield Check(f"{PLATFORM}.rooms", "warning", f"{sentence} Add `{missing}` to their `readers`.")


async def _check_login(credentials: Credentials, timeout_s: float) -> Check | None:
    """The fault of the login; None when it is valid."""
    connection = AccountConnection(credentials, timeout_s)
    try:
        owner = await connection.call_api("GET", "/v3/account/whoami")
    except LoggedOut as error:
        return Check(PLATFORM, "problem", str(as_admin_error(error)))
    except RequestRefused as error:
        return Check(PLATFORM, "problem", f"{credentials.homeserver} does not take the login. {error_sentence(error)}")
    except TransientFailure as error:
        sentence = f"{credentials.homeserver}: {error}, so the login could not be tried."
        return Check(PLATFORM, "warning", f"{sentence} `hearth run` waits until it can be.")
    finally:
        await connection.close()
    if (owner.get("user_id"), owner.get("device_id")) != (credentials.user_id, credentials.device_id):
        remedy = "Run `hearth matrix login --again`."
        return Check(PLATFORM, "problem", f"The access token is not that of device {credentials.device_id}. {remedy}")
    return None


async def _check_device(credentials: Credentials, identity: Identity | None, timeout_s: float) -> Check:
    name = f"{PLATFORM}.device"
    connection = AccountConnection(credentials, timeout_s)
    try:
        signing = await query_status(connection, identity) if identity is not None else SigningStatus("unsigned")
    except (TransientFailure, LoggedOut) as error:
        return Check(name, "warning", f"Whether the device is signed could not be asked: {error}.")
    finally:
        await connection.close()
    if signing.is_signed:
        return Check(name, "ok", str(signing))
    status: CheckStatus = "warning" if signing.state == "unsigned" else "problem"
    return Check(name, status, f"{signing} Until then, many clients do not talk to Hearth.")

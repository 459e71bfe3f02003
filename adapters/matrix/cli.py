"""`hearth matrix`: logs in to the account once, and shows its state."""

from pathlib import Path
from typing import Any

import click

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.cross_signing import SigningStatus, query_status
from adapters.matrix.account.identity import Identity, IdentityFile
from adapters.matrix.account.login import AccountConnection
from adapters.matrix.credentials import Credentials, load_credentials
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable
from adapters.matrix.ids import PLATFORM
from adapters.matrix.login_command import LoginOptions, log_in
from adapters.matrix.settings import MatrixSettings
from adapters.platform import CommandContext

EXIT_FAILED = 1


@click.group()
def matrix() -> None:
    """The Matrix account: log in once, and see how it stands."""


@matrix.command()
@click.option(
    "--homeserver",
    default="",
    help="The account (@name:example.org), its server, or an address (https://…, http://… without TLS).",
)
@click.option("--user", default="", help="The account, where --homeserver does not say it.")
@click.option("--password-env", default="", metavar="NAME", help="Environment variable with the password.")
@click.option("--token-env", default="", metavar="NAME", help="Environment variable with an access token instead.")
@click.option("--device-id", default="", help="The device that the access token is for.")
@click.option("--again", is_flag=True, help="Log in although that was done before.")
@click.option("--replace-keys", is_flag=True, help="Replace cross-signing keys that are not Hearth's, unasked.")
async def login(context: CommandContext[MatrixSettings], **given: Any) -> int:
    """Log in once: what is not given is asked for. The token is kept, the password is not."""
    options = LoginOptions(**given)
    if bool(options.token_env) != bool(options.device_id):
        raise click.UsageError("--token-env and --device-id belong together.")
    if options.token_env and options.password_env and not options.replace_keys:
        raise click.UsageError("With --token-env a password is only needed for --replace-keys.")
    return 0 if await log_in(options, context) else EXIT_FAILED


@matrix.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
async def status(context: CommandContext[MatrixSettings], as_json: bool) -> int:
    """Tell whether the device is signed, and who has verified it. Exits with 1 when something is to be done."""
    credentials, identity = _stored_account(context.data_folder / PLATFORM)
    signing = await _query_signing(credentials, identity)
    if as_json:
        context.print_json(_status_fields(credentials, identity, signing))
    else:
        _print_status(context, credentials, identity, signing)
    return 0 if signing.is_signed else EXIT_FAILED


def _stored_account(folder: Path) -> tuple[Credentials, Identity | None]:
    credentials = load_credentials(folder)
    return credentials, IdentityFile.for_account(folder, credentials).load()


async def _query_signing(credentials: Credentials, identity: Identity | None) -> SigningStatus:
    connection = AccountConnection(credentials)
    try:
        return await query_status(connection, identity) if identity is not None else SigningStatus("unsigned")
    except (TransientFailure, LoggedOut) as error:
        raise MatrixUnusable(f"{credentials.user_id}, device {credentials.device_id}: {error}.") from error
    finally:
        await connection.close()


def _status_fields(credentials: Credentials, identity: Identity | None, signing: SigningStatus) -> dict[str, Any]:
    verifiers = identity.verifiers if identity is not None else ()
    return {
        "user_id": credentials.user_id,
        "device_id": credentials.device_id,
        "homeserver": credentials.homeserver,
        "signed": signing.is_signed,
        "state": signing.state,
        "verified_by": [{"user_id": each.user_id, "at": each.verified_at.isoformat()} for each in verifiers],
    }


def _print_status(
    context: CommandContext[MatrixSettings], credentials: Credentials, identity: Identity | None, signing: SigningStatus
) -> None:
    verifiers = identity.verifiers if identity is not None else ()
    people = ", ".join(f"{each.user_id} ({each.verified_at:%Y-%m-%d})" for each in verifiers)
    context.print_text(f"{credentials.user_id} at {credentials.homeserver}, device {credentials.device_id}")
    context.print_text(str(signing))
    context.print_text(f"Verified by {people}." if people else "Nobody has verified it yet.")

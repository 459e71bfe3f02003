"""`hearth matrix`: logs in to the account once, and tells how it stands."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.cross_signing import SigningStatus, query_status
from adapters.matrix.account.identity import IdentityFile, Verifier
from adapters.matrix.account.login import AccessTokenLogin, AccountConnection, PasswordLogin
from adapters.matrix.api.discovery import HomeserverAddress, discover_homeserver, is_unencrypted
from adapters.matrix.credentials import load_credentials
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable
from adapters.matrix.ids import PLATFORM
from bot.cli import prompts
from bot.cli.output import make_console, print_errors, print_json, printable
from bot.cli.runner import EXIT_FAILED, CliError, config_option, run_and_exit
from bot.config.loading import Config
from bot.server.folder_lock import FolderLock

if TYPE_CHECKING:
    from adapters.matrix.account.setup import AccountSetup, EarlierLogin

REPLACE_WARNING = (
    "This account has cross-signing keys that are not Hearth's: another program, such as Element, has made them, or"
    " Hearth's own were lost. Without keys of its own Hearth cannot sign its device, and many clients do not talk to"
    " unsigned devices. If Hearth replaces them, the account's other devices count as unsigned, and whoever has"
    " verified the account is warned and has to verify it again. Nothing else is lost."
)
NEXT_STEPS = """
What comes next:
  1. In the config:  matrix: {{enabled: true, admin_users: ["@you:example.org"]}}
  2. `hearth run`
  3. Invite {user_id} to a chat. To verify it, open its profile there and choose “Verify”: the admins named in
     the config are answered, and the emoji to compare come into the chat and into the log."""


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """What `hearth matrix login` was told; empty where it was not."""

    homeserver: str
    user: str
    password_env: str
    token_env: str
    device_id: str
    again: bool
    replace_keys: bool


@click.group()
def matrix() -> None:
    """The Matrix account: log in once, and see how it stands."""


@matrix.command()
@click.option("--homeserver", default="", help="The account (@name:example.org), its server, or an https:// address.")
@click.option("--user", default="", help="The account, where --homeserver does not say it.")
@click.option("--password-env", default="", metavar="NAME", help="Environment variable with the password.")
@click.option("--token-env", default="", metavar="NAME", help="Environment variable with an access token instead.")
@click.option("--device-id", default="", help="The device that the access token is for.")
@click.option("--again", is_flag=True, help="Log in although that was done before.")
@click.option("--replace-keys", is_flag=True, help="Replace cross-signing keys that are not Hearth's, unasked.")
@config_option
def login(config: Config, **told: Any) -> NoReturn:
    """Log in once: what is not given is asked for. The token is kept, the password is not."""
    wish = LoginOptions(**told)
    if bool(wish.token_env) != bool(wish.device_id):
        raise click.UsageError("--token-env and --device-id belong together.")
    if wish.token_env and wish.password_env and not wish.replace_keys:
        raise click.UsageError("With --token-env a password is only needed for --replace-keys.")
    run_and_exit(_login(wish, config))


@matrix.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_option
def status(config: Config, as_json: bool) -> NoReturn:
    """Tell whether the device is signed, and who has verified it. Exits with 1 when something is to be done."""
    run_and_exit(_status(config.data_folder / PLATFORM, as_json))


async def _login(wish: LoginOptions, config: Config) -> int:
    folder = config.data_folder / PLATFORM
    # Imported only where it is used: nio is slow to load.
    from adapters.matrix.account.setup import find_earlier_login, set_up_account

    lock = FolderLock(config.data_folder)
    lock.acquire()
    try:
        before = await find_earlier_login(folder)
        if before is not None and not wish.again:
            print_errors(f"{before.credentials.user_id} is logged in already. --again logs in anew.")
            if not await prompts.ask_yes_no("Log in anew?"):
                return EXIT_FAILED
        place = await discover_homeserver(
            wish.homeserver or await prompts.ask_text("Account or homeserver", "--homeserver")
        )
        means = await _login_method(wish, place)
        async with set_up_account(folder, place.homeserver, means, before) as account:
            _show_login(account, before)
            return await _sign_and_report(account, wish, means)
    except MatrixUnusable as error:
        raise CliError(str(error)) from error
    finally:
        lock.release()


async def _login_method(wish: LoginOptions, place: HomeserverAddress) -> PasswordLogin | AccessTokenLogin:
    if is_unencrypted(place.homeserver):
        print_errors(
            f"Beware: {place.homeserver} is not encrypted; whoever listens on the way can read what is sent there."
        )
    if wish.token_env:
        return AccessTokenLogin(_from_environment(wish.token_env), wish.device_id)
    user = wish.user or place.user_id or await prompts.ask_text("User", "--user")
    return PasswordLogin(user, await _password(wish, user))


async def _password(wish: LoginOptions, user: str) -> str:
    if wish.password_env:
        return _from_environment(wish.password_env)
    return await prompts.ask_secret(f"Password of {user}", "--password-env")


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise CliError(f"The environment variable {name} is not set.")
    return value


async def _sign_and_report(account: "AccountSetup", wish: LoginOptions, means: PasswordLogin | AccessTokenLogin) -> int:
    """Have the device signed, and ask before keys of others are replaced."""
    try:
        standing = await _sign_device(account, wish, means)
    except (TransientFailure, LoggedOut) as error:
        raise CliError(
            f"Logged in, but the device is not signed yet: {error}. `hearth run` goes on with it."
        ) from error
    out = make_console()
    out.print(str(standing))
    out.print(NEXT_STEPS.format(user_id=account.login.user_id))
    return 0 if standing.is_signed else EXIT_FAILED


async def _sign_device(
    account: "AccountSetup", wish: LoginOptions, means: PasswordLogin | AccessTokenLogin
) -> SigningStatus:
    standing = await account.identity.check_signature()
    if standing.state == "foreign_keys":
        if not wish.replace_keys:
            print_errors(REPLACE_WARNING)
            if not await prompts.ask_yes_no("Replace them?"):
                return standing
        await account.identity.replace_keys()
    elif standing.state != "password_needed":
        return standing
    password = means.password if isinstance(means, PasswordLogin) else await _password(wish, account.login.user_id)
    return await account.identity.check_signature(password)


def _show_login(account: "AccountSetup", before: "EarlierLogin | None") -> None:
    access, out = account.login, make_console()
    kind = "as a new device" if account.is_new_device else "as the same device as before"
    out.print(printable(f"Logged in: {access.user_id} at {access.homeserver}, {kind}, {access.device_id}."))
    if account.old_store is not None:
        out.print(f"The keys of the device before it are in {account.old_store}; they are not used any more.")
    if before is not None and account.is_new_device:
        out.print("What was sent to the old device and not answered yet cannot be read by the new one.")


async def _status(folder: Path, as_json: bool) -> int:
    try:
        credentials = load_credentials(folder)
        identity = IdentityFile.for_account(folder, credentials).load()
    except MatrixUnusable as error:
        raise CliError(str(error)) from error
    connection = AccountConnection(credentials)
    try:
        standing = await query_status(connection, identity) if identity is not None else SigningStatus("unsigned")
    except (TransientFailure, LoggedOut) as error:
        raise CliError(f"{credentials.user_id}, device {credentials.device_id}: {error}.") from error
    finally:
        await connection.close()
    who = {"user_id": credentials.user_id, "device_id": credentials.device_id, "homeserver": credentials.homeserver}
    _show(who, standing, identity.verifiers if identity is not None else (), as_json=as_json)
    return 0 if standing.is_signed else EXIT_FAILED


def _show(who: dict[str, str], standing: SigningStatus, verifiers: tuple[Verifier, ...], *, as_json: bool) -> None:
    if as_json:
        verified_by = [{"user_id": each.user_id, "at": each.verified_at.isoformat()} for each in verifiers]
        print_json({**who, "signed": standing.is_signed, "state": standing.state, "verified_by": verified_by})
        return
    out = make_console()
    out.print(printable(f"{who['user_id']} at {who['homeserver']}, device {who['device_id']}"))
    out.print(str(standing))
    people = ", ".join(f"{each.user_id} ({each.verified_at:%Y-%m-%d})" for each in verifiers)
    out.print(printable(f"Verified by {people}." if people else "Nobody has verified it yet."))

"""The dialogue of `hearth matrix login`: asks for missing options, logs in, and has the device signed."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.cross_signing import SigningStatus
from adapters.matrix.account.login import AccessTokenLogin, PasswordLogin
from adapters.matrix.api.discovery import HomeserverAddress, discover_homeserver, is_unencrypted
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable
from adapters.matrix.ids import PLATFORM
from adapters.matrix.settings import MatrixSettings
from adapters.platform import CommandContext

if TYPE_CHECKING:
    from adapters.matrix.account.setup import AccountSetup, EarlierLogin

Terminal = CommandContext[MatrixSettings]
LoginMethod = PasswordLogin | AccessTokenLogin

REPLACE_WARNING = (
    "This account has cross-signing keys that are not Hearth's: another program, such as Element, has made them, or"
    " Hearth's own were lost. Without keys of its own Hearth cannot sign its device, and many clients do not talk to"
    " unsigned devices. If Hearth replaces them, the account's other devices count as unsigned, and everyone who has"
    " verified the account is warned and has to verify it again. Nothing else is lost."
)
NEXT_STEPS = """
What comes next:
  1. In the config:  matrix: {{enabled: true, admin_users: ["@you:example.org"]}}
     and for each collection who may get answers from it:  readers: ["matrix:user:@you:example.org"]
  2. `hearth index`, `hearth doctor`, `hearth run`
  3. Invite {user_id} to a chat. To verify it, open its profile there and choose “Verify”: the admins named in
     the config are answered, and the emoji to compare come into the chat and into the log."""


@dataclass(frozen=True, slots=True)
class LoginOptions:
    """The options of `hearth matrix login`; empty when not given."""

    homeserver: str
    user: str
    password_env: str
    token_env: str
    device_id: str
    again: bool
    replace_keys: bool


async def log_in(options: LoginOptions, terminal: Terminal) -> bool:
    """Log in, and have the device signed; returns whether it is. Raises MatrixUnusable, with the reason."""
    # Imported only where it is used: nio is slow to load.
    from adapters.matrix.account.setup import find_earlier_login, set_up_account

    folder = terminal.data_folder / PLATFORM
    with terminal.own_data_folder():
        earlier = await find_earlier_login(folder)
        if earlier is not None and not options.again:
            terminal.print_errors(f"{earlier.credentials.user_id} is logged in already. Use --again to log in again.")
            if not await terminal.ask_yes_no("Log in again?"):
                return False
        account_or_server = options.homeserver or await terminal.ask_text("Account or homeserver", "--homeserver")
        address = await discover_homeserver(account_or_server)
        method = await _login_method(options, address, terminal)
        async with set_up_account(folder, address.homeserver, method, earlier) as account:
            _print_login(account, earlier, terminal)
            return await _sign_and_report(account, options, method, terminal)


async def _login_method(options: LoginOptions, address: HomeserverAddress, terminal: Terminal) -> LoginMethod:
    if is_unencrypted(address.homeserver):
        terminal.print_errors(
            f"Beware: {address.homeserver} is not encrypted; anyone who listens on the way can read what is sent there."
        )
    if options.token_env:
        return AccessTokenLogin(_from_environment(options.token_env), options.device_id)
    user = options.user or address.user_id or await terminal.ask_text("User", "--user")
    return PasswordLogin(user, await _password(options, user, terminal))


async def _password(options: LoginOptions, user: str, terminal: Terminal) -> str:
    if options.password_env:
        return _from_environment(options.password_env)
    return await terminal.ask_secret(f"Password of {user}", "--password-env")


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise MatrixUnusable(f"The environment variable {name} is not set.")
    return value


async def _sign_and_report(
    account: "AccountSetup", options: LoginOptions, method: LoginMethod, terminal: Terminal
) -> bool:
    """Have the device signed, and ask before another program's keys are replaced."""
    try:
        signing = await _sign_device(account, options, method, terminal)
    except (TransientFailure, LoggedOut) as error:
        raise MatrixUnusable(
            f"Logged in, but the device is not signed yet: {error}. `hearth run` goes on with it."
        ) from error
    terminal.print_text(str(signing))
    terminal.print_text(NEXT_STEPS.format(user_id=account.login.user_id))
    return signing.is_signed


async def _sign_device(
    account: "AccountSetup", options: LoginOptions, method: LoginMethod, terminal: Terminal
) -> SigningStatus:
    signing = await account.identity.check_signature()
    if signing.state == "foreign_keys":
        if not options.replace_keys:
            terminal.print_errors(REPLACE_WARNING)
            if not await terminal.ask_yes_no("Replace them?"):
                return signing
        await account.identity.replace_keys()
    elif signing.state != "password_needed":
        return signing
    user = account.login.user_id
    password = method.password if isinstance(method, PasswordLogin) else await _password(options, user, terminal)
    return await account.identity.check_signature(password)


def _print_login(account: "AccountSetup", earlier: "EarlierLogin | None", terminal: Terminal) -> None:
    login = account.login
    kind = "as a new device" if account.is_new_device else "as the same device as before"
    terminal.print_text(f"Logged in: {login.user_id} at {login.homeserver}, {kind}, {login.device_id}.")
    if account.old_store is not None:
        terminal.print_text(f"The keys of the device before it are in {account.old_store}; they are not used any more.")
    if earlier is not None and account.is_new_device:
        terminal.print_text("What was sent to the old device and not answered yet cannot be read by the new one.")

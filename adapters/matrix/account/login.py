"""Login to an account with a password or a token, as a new device or as the one whose keys are here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.api.failures import error_sentence
from adapters.matrix.api.http import HttpClient
from adapters.matrix.credentials import Credentials
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, RequestRefused

DEVICE_NAME = "Hearth"
PASSWORD_FLOW = "m.login.password"  # noqa: S105
NO_PASSWORDS = (
    "This homeserver does not accept passwords for logging in. Get an access token for a new device there (its admin"
    " can create one), and give it with --token-env and --device-id."
)


@dataclass(frozen=True, slots=True)
class PasswordLogin:
    """A user and a password. `user`: an account (`@name:server`) or the name alone."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessTokenLogin:
    """A token obtained outside Hearth, for a device that no other program uses."""

    access_token: str = field(repr=False)
    device_id: str


@dataclass(frozen=True, slots=True)
class LoginResult:
    """The result of a login."""

    homeserver: str
    user_id: str
    device_id: str
    access_token: str = field(repr=False)

    def to_credentials(self, store_key: str) -> Credentials:
        """The credentials to save, with the key of the store."""
        return Credentials(self.homeserver, self.user_id, self.device_id, self.access_token, store_key)


class AccountConnection:
    """Implements `MatrixApi`: the account, without its encryption."""

    def __init__(self, access: LoginResult | Credentials, timeout_s: float = 30.0) -> None:
        self.user_id = access.user_id
        self.device_id = access.device_id
        self._http = HttpClient(access.homeserver, access.access_token, timeout_s)
        self.call_api = self._http.call_api
        self.close = self._http.close


async def log_in(
    homeserver: str, login: PasswordLogin | AccessTokenLogin, device_id: str = "", timeout_s: float = 30.0
) -> LoginResult:
    """Log in, with `device_id` as that device, else as a new one. Raises MatrixUnusable with the remedy."""
    http = HttpClient(homeserver, login.access_token if isinstance(login, AccessTokenLogin) else "", timeout_s)
    try:
        if isinstance(login, AccessTokenLogin):
            response = await http.call_api("GET", "/v3/account/whoami")
            return parse_login(homeserver, {**response, "access_token": login.access_token}, login.device_id)
        if not supports_passwords(await http.call_api("GET", "/v3/login")):
            raise MatrixUnusable(NO_PASSWORDS)
        return parse_login(
            homeserver, await http.call_api("POST", "/v3/login", _login_body(login, device_id)), device_id
        )
    except RequestRefused as error:
        raise MatrixUnusable(login_error_sentence(error)) from error
    except LoggedOut as error:
        raise MatrixUnusable("The homeserver does not know this access token.") from error
    except RateLimited as error:
        raise MatrixUnusable(
            f"The homeserver accepts no more logins for now: try again in {_minutes(error.retry_after_s)}."
        ) from error
    except TransientFailure as error:
        raise MatrixUnusable(f"The login failed: {error}. Try again.") from error
    finally:
        await http.close()


async def device_exists(access: Credentials, timeout_s: float = 30.0) -> bool | None:
    """Whether the homeserver still has the device: True also after a soft logout, None when it is unknown."""
    connection = AccountConnection(access, timeout_s)
    try:
        await connection.call_api("GET", "/v3/account/whoami")
    except LoggedOut as error:
        return error.soft
    except (TransientFailure, RequestRefused):
        return None
    finally:
        await connection.close()
    return True


async def log_out(access: LoginResult | Credentials, timeout_s: float = 30.0) -> None:
    """Log out a device that is no longer needed; failures are ignored, they do no harm."""
    connection = AccountConnection(access, timeout_s)
    try:
        await connection.call_api("POST", "/v3/logout", {})
    except (TransientFailure, RequestRefused, LoggedOut):
        return
    finally:
        await connection.close()


def with_new_token(old: Credentials, access: LoginResult) -> Credentials:
    """The credentials of the same device and store with the token of a new login."""
    return replace(old, homeserver=access.homeserver, access_token=access.access_token)


def supports_passwords(response: Mapping[str, Any]) -> bool:
    """Whether the login flows of a homeserver include passwords."""
    flows = response.get("flows")
    return isinstance(flows, list) and any(
        isinstance(flow, Mapping) and flow.get("type") == PASSWORD_FLOW for flow in flows
    )


def _login_body(login: PasswordLogin, device_id: str) -> dict[str, Any]:
    return {
        "type": PASSWORD_FLOW,
        "identifier": {"type": "m.id.user", "user": login.user},
        "password": login.password,
        "initial_device_display_name": DEVICE_NAME,
        **({"device_id": device_id} if device_id else {}),
    }


def parse_login(homeserver: str, response: Mapping[str, Any], expected_device: str) -> LoginResult:
    """Parse the response to a login. `expected_device`: the device it must be for. Raises MatrixUnusable."""
    values = [response.get(name) for name in ("user_id", "device_id", "access_token")]
    user_id, device_id, access_token = (value if isinstance(value, str) else "" for value in values)
    if not (user_id and device_id and access_token):
        raise MatrixUnusable("Hearth does not understand the homeserver's response to the login.")
    if expected_device and device_id != expected_device:
        raise MatrixUnusable(f"The access token belongs to device {device_id}, not to {expected_device}.")
    return LoginResult(homeserver, user_id, device_id, access_token)


def login_error_sentence(error: RequestRefused) -> str:
    """The reason for a refused login, for the admin."""
    if error.code == "M_FORBIDDEN":
        return "The homeserver does not accept this user and password."
    if error.code in ("M_UNKNOWN", "M_INVALID_USERNAME", "M_INVALID_PARAM"):
        return f"The homeserver does not accept this login ({error.code}). Check the user name."
    return error_sentence(error)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"

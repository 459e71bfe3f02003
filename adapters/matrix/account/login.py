"""Gets into an account: with a password or a token, into a new device or the one whose keys are here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.matrix.api.failures import sentence
from adapters.matrix.api.http import Http
from adapters.matrix.credentials import Credentials
from adapters.matrix.homeserver import Limited, LoggedOut, MatrixUnusable, Refused, Unsettled

DEVICE_NAME = "Hearth"
PASSWORD = "m.login.password"  # noqa: S105
NO_PASSWORDS = (
    "This homeserver takes no passwords for logging in. Get an access token for a new device there (its admin can make"
    " one), and give it with --token-env and --device-id."
)


@dataclass(frozen=True, slots=True)
class Password:
    """Who logs in, and with what. `user`: an account (`@name:server`) or the name alone."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that somebody else got, for a device that no program uses."""

    access_token: str = field(repr=False)
    device_id: str


@dataclass(frozen=True, slots=True)
class Access:
    """What a login gives."""

    homeserver: str
    user_id: str
    device_id: str
    access_token: str = field(repr=False)

    def credentials(self, store_key: str) -> Credentials:
        """What is kept of it, with the key of the store beside it."""
        return Credentials(self.homeserver, self.user_id, self.device_id, self.access_token, store_key)


class Connection:
    """Fills `Server`: the account, without its encryption."""

    def __init__(self, access: Access | Credentials, timeout_s: float = 30.0) -> None:
        self.user_id = access.user_id
        self.device_id = access.device_id
        self._http = Http(access.homeserver, access.access_token, timeout_s)
        self.call = self._http.call
        self.close = self._http.close


async def log_in(homeserver: str, means: Password | Token, device_id: str = "", timeout_s: float = 30.0) -> Access:
    """Log in. With `device_id` into that device, else into a new one. Raises MatrixUnusable with what to do."""
    http = Http(homeserver, means.access_token if isinstance(means, Token) else "", timeout_s)
    try:
        if isinstance(means, Token):
            told = await http.call("GET", "/v3/account/whoami")
            return access_of(homeserver, {**told, "access_token": means.access_token}, means.device_id)
        if not takes_passwords(await http.call("GET", "/v3/login")):
            raise MatrixUnusable(NO_PASSWORDS)
        return access_of(homeserver, await http.call("POST", "/v3/login", _request(means, device_id)), device_id)
    except Refused as error:
        raise MatrixUnusable(refusal(error)) from error
    except LoggedOut as error:
        raise MatrixUnusable("The homeserver does not know this access token.") from error
    except Limited as error:
        raise MatrixUnusable(
            f"The homeserver takes no more logins for now: try again in {_minutes(error.retry_after_s)}."
        ) from error
    except Unsettled as error:
        raise MatrixUnusable(f"The login did not work: {error}. Try again.") from error
    finally:
        await http.close()


async def knows_token(access: Credentials, timeout_s: float = 30.0) -> bool | None:
    """Whether the homeserver still has the device: True also after a soft logout, None when it did not say."""
    connection = Connection(access, timeout_s)
    try:
        await connection.call("GET", "/v3/account/whoami")
    except LoggedOut as error:
        return error.soft
    except (Unsettled, Refused):
        return None
    finally:
        await connection.close()
    return True


async def log_out(access: Access | Credentials, timeout_s: float = 30.0) -> None:
    """Take a device away that is of no use any more; that it cannot be is no harm."""
    connection = Connection(access, timeout_s)
    try:
        await connection.call("POST", "/v3/logout", {})
    except (Unsettled, Refused, LoggedOut):
        return
    finally:
        await connection.close()


def renewed(old: Credentials, access: Access) -> Credentials:
    """The same device and store with the token of a new login."""
    return replace(old, homeserver=access.homeserver, access_token=access.access_token)


def takes_passwords(told: Mapping[str, Any]) -> bool:
    """Whether a homeserver that was asked how one logs in names passwords."""
    flows = told.get("flows")
    return isinstance(flows, list) and any(isinstance(flow, Mapping) and flow.get("type") == PASSWORD for flow in flows)


def _request(means: Password, device_id: str) -> dict[str, Any]:
    return {
        "type": PASSWORD,
        "identifier": {"type": "m.id.user", "user": means.user},
        "password": means.password,
        "initial_device_display_name": DEVICE_NAME,
        **({"device_id": device_id} if device_id else {}),
    }


def access_of(homeserver: str, told: Mapping[str, Any], wanted: str) -> Access:
    """What a homeserver's answer gives. `wanted`: the device it must be. Raises MatrixUnusable."""
    values = [told.get(name) for name in ("user_id", "device_id", "access_token")]
    user_id, device_id, access_token = (value if isinstance(value, str) else "" for value in values)
    if not (user_id and device_id and access_token):
        raise MatrixUnusable("The homeserver's answer to the login is not one that Hearth understands.")
    if wanted and device_id != wanted:
        raise MatrixUnusable(f"The access token belongs to device {device_id}, not to {wanted}.")
    return Access(homeserver, user_id, device_id, access_token)


def refusal(error: Refused) -> str:
    """Why a login was refused, for the admin."""
    if error.code == "M_FORBIDDEN":
        return "The homeserver does not take this user and password."
    if error.code in ("M_UNKNOWN", "M_INVALID_USERNAME", "M_INVALID_PARAM"):
        return f"The homeserver does not take this login ({error.code}). Check the user name."
    return sentence(error)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"

"""Discovery of an account's homeserver by its address or by the name of the server (`.well-known`)."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from yarl import URL

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.api.http import HttpClient
from adapters.matrix.homeserver import LoggedOut, MatrixUnusable, RequestRefused

TIMEOUT_S = 15.0
WELL_KNOWN = "/.well-known/matrix/client"
VERSIONS = "/_matrix/client/versions"
SERVER_NAME = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
"""A host name or address with an optional port (specification, appendix "Server Name")."""
MXID = re.compile(r"@[!-9;-~]{1,200}:(?P<server>.+)")

FetchJson = Callable[[str, str], Awaitable[dict[str, Any]]]
"""Fetches the JSON object at a path of a server. Raises the port's errors."""


@dataclass(frozen=True, slots=True)
class HomeserverAddress:
    """A homeserver's address, and the account named with it (empty: only the server was named)."""

    homeserver: str
    user_id: str = ""


async def fetch_json(homeserver: str, path: str) -> dict[str, Any]:
    """The JSON object at a path of a server. Raises the port's errors."""
    http = HttpClient(homeserver, timeout_s=TIMEOUT_S)
    try:
        return await http.request_json("GET", path)
    finally:
        await http.close()


async def discover_homeserver(name_or_url: str, fetch: FetchJson = fetch_json) -> HomeserverAddress:
    """The homeserver of `@user:server`, `server` or an address with `https://`. Raises MatrixUnusable."""
    name_or_url = name_or_url.strip()
    if name_or_url.startswith(("http://", "https://")):
        return HomeserverAddress(await _check_versions(_address(name_or_url), fetch))
    found = MXID.fullmatch(name_or_url)
    server = found["server"] if found else name_or_url
    if not SERVER_NAME.fullmatch(server):
        raise MatrixUnusable(
            f"“{name_or_url}” names no homeserver. Give the account (@name:example.org), or the homeserver's address"
            " (https://matrix.example.org)."
        )
    base_url = await _well_known(server, fetch) or f"https://{server}"
    return HomeserverAddress(await _check_versions(base_url, fetch), name_or_url if found else "")


def is_unencrypted(homeserver: str) -> bool:
    """Whether the connection to a homeserver is unencrypted and leaves this machine."""
    address = URL(homeserver)
    return address.scheme == "http" and address.host not in ("localhost", "127.0.0.1", "::1")


def _address(text: str) -> str:
    try:
        address = URL(text)
    except ValueError:
        address = URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise MatrixUnusable(f"“{text}” is not the address of a homeserver.")
    return str(address.origin()) + address.path.rstrip("/")


async def _well_known(server: str, fetch: FetchJson) -> str:
    """The address that a server names for itself; empty when it names none (specification, "Server discovery")."""
    try:
        response = await fetch(f"https://{server}", WELL_KNOWN)
    except (TransientFailure, RequestRefused, LoggedOut):
        return ""
    homeserver = response.get("m.homeserver")
    address = homeserver.get("base_url") if isinstance(homeserver, Mapping) else None
    if not isinstance(address, str):
        raise MatrixUnusable(f"https://{server}{WELL_KNOWN} names no homeserver. Give its address (https://...).")
    return _address(address)


async def _check_versions(homeserver: str, fetch: FetchJson) -> str:
    try:
        response = await fetch(homeserver, VERSIONS)
    except RateLimited as error:
        raise MatrixUnusable(f"{homeserver}: {error}. Try again then.") from error
    except (TransientFailure, RequestRefused, LoggedOut) as error:
        raise MatrixUnusable(
            f"There is no Matrix homeserver at {homeserver}: {error}. Check the address (one without TLS begins with"
            " http://), and that it is up."
        ) from error
    if not isinstance(response.get("versions"), list):
        raise MatrixUnusable(f"There is no Matrix homeserver at {homeserver}: something else answers there.")
    return homeserver

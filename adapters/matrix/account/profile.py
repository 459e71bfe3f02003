"""The account's display name: set once when it has none, never changed otherwise."""

import logging
from urllib.parse import quote

from adapters.delivery.errors import TransientFailure
from adapters.matrix.homeserver import MatrixApi, RequestRefused

log = logging.getLogger(__name__)


async def ensure_display_name(server: MatrixApi, name: str) -> None:
    """Set the account's display name if it has none; a failure is only logged. Raises LoggedOut."""
    path = f"/v3/profile/{quote(server.user_id, safe='')}/displayname"
    try:
        if not await _current_display_name(server, path):
            await server.call_api("PUT", path, {"displayname": name})
    except (TransientFailure, RequestRefused) as error:
        log.info("Could not look up or set the account's display name: %s", error)


async def _current_display_name(server: MatrixApi, path: str) -> object:
    try:
        return (await server.call_api("GET", path)).get("displayname")
    except RequestRefused as error:
        if error.status == 404:  # no profile at all
            return None
        raise

"""The account's own name: given once where it has none, and left alone otherwise."""

import logging
from urllib.parse import quote

from adapters.delivery.errors import TransientFailure
from adapters.matrix.homeserver import MatrixApi, RequestRefused

log = logging.getLogger(__name__)


async def ensure_display_name(server: MatrixApi, name: str) -> None:
    """Call the account by a name, if it has none. That this cannot be done matters to nobody. Raises LoggedOut."""
    path = f"/v3/profile/{quote(server.user_id, safe='')}/displayname"
    try:
        if not await _current_display_name(server, path):
            await server.call_api("PUT", path, {"displayname": name})
    except (TransientFailure, RequestRefused) as error:
        log.info("The account's name could not be looked up or set: %s", error)


async def _current_display_name(server: MatrixApi, path: str) -> object:
    try:
        return (await server.call_api("GET", path)).get("displayname")
    except RequestRefused as error:
        if error.status == 404:  # no profile at all
            return None
        raise

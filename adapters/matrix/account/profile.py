"""The account's own name: given once where it has none, and left alone otherwise."""

import logging
from urllib.parse import quote

from adapters.matrix.homeserver import Refused, Server, Unsettled

log = logging.getLogger(__name__)


async def name_account(server: Server, name: str) -> None:
    """Call the account by a name, if it has none. That this cannot be done matters to nobody. Raises LoggedOut."""
    path = f"/v3/profile/{quote(server.user_id, safe='')}/displayname"
    try:
        if not await _name(server, path):
            await server.call("PUT", path, {"displayname": name})
    except (Unsettled, Refused) as error:
        log.info("The account's name could not be looked up or set: %s", error)


async def _name(server: Server, path: str) -> object:
    try:
        return (await server.call("GET", path)).get("displayname")
    except Refused as error:
        if error.status == 404:  # no profile at all
            return None
        raise

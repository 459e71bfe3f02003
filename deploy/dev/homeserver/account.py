"""Registered accounts, and requests of the client-server API that need only an access token."""

from dataclasses import dataclass, field
from typing import Any

import aiohttp

V3 = "/_matrix/client/v3"
ANSWER_WITHIN_S = 60.0


@dataclass(frozen=True)
class Account:
    """A user id with its credentials, and the device created by the registration."""

    user_id: str
    password: str = field(repr=False)
    access_token: str = field(repr=False)
    device_id: str


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, status: int, errcode: str, error: str, retry_after_ms: int = 0) -> None:
        super().__init__(f"{status} {errcode}: {error}")
        self.status, self.errcode, self.retry_after_ms = status, errcode, retry_after_ms


async def ask(
    session: aiohttp.ClientSession, method: str, url: str, body: Any = None, token: str = "", **query: str
) -> Any:
    """Make one request and return its JSON. Raises Refused, and aiohttp's errors for a lost connection."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    async with session.request(method, url, json=body, headers=headers, params=query, timeout=timeout) as response:
        if response.status < 400:
            return await response.json()
        # A reverse proxy responds with an HTML page while its server is down.
        error = await response.json() if response.content_type == "application/json" else {}
        raise Refused(response.status, error.get("errcode", ""), error.get("error", ""), error.get("retry_after_ms", 0))

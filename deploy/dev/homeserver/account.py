"""An account as registered, and the plain requests of the client-server API that need nothing but its token."""

from dataclasses import dataclass, field
from typing import Any

import aiohttp

V3 = "/_matrix/client/v3"
ANSWER_WITHIN_S = 60.0


@dataclass(frozen=True)
class Account:
    """Who somebody is, with the device that registering made."""

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
    """Make one request and give its JSON; raises Refused for an error and aiohttp's errors for a lost connection."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    async with session.request(method, url, json=body, headers=headers, params=query, timeout=timeout) as answer:
        if answer.status < 400:
            return await answer.json()
        # A reverse proxy whose server is away answers with a page.
        told = await answer.json() if answer.content_type == "application/json" else {}
        raise Refused(answer.status, told.get("errcode", ""), told.get("error", ""), told.get("retry_after_ms", 0))

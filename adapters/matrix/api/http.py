"""HTTP requests to a homeserver, their JSON responses, and the port's errors for failures."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from adapters.delivery.connection_errors import connection_reason
from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.api.parsing import decode_json
from adapters.matrix.events import Json
from adapters.matrix.homeserver import LoggedOut, RequestRefused

CLIENT_API = "/_matrix/client"
CONNECTION_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
"""Errors of a broken connection."""
MAX_BODY_BYTES = 200_000_000
"""Limit for a response: no sync of a home's account is larger, and reading on could exhaust the memory."""
DEFAULT_RETRY_AFTER_S = 5.0
"""Wait for a rate limit that names no duration."""
MAX_RETRY_AFTER_S = 3600.0


def api_path(*parts: str) -> str:
    """Join parts into a path, each percent-encoded."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


class HttpClient:
    """Client of one homeserver with an account's access token (empty: none yet).

    Never retries, except for what aiohttp does: it repeats a GET, PUT or DELETE, as the specification allows, when a
    kept-alive connection turns out to be closed.
    """

    def __init__(self, homeserver: str, access_token: str = "", timeout_s: float = 30.0) -> None:
        self._base = homeserver.rstrip("/")
        self._token = access_token
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def call_api(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Sequence[tuple[str, str]] = (),
        *,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """Send a JSON body to `/_matrix/client` + `path`; returns the JSON object of the response."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        return await self.request_json(
            method, CLIENT_API + path, data=data, headers=headers, query=query, timeout_s=timeout_s
        )

    async def request_json(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """Send any body to any path of the server; returns the JSON object of the response."""
        async with self.open_response(
            method, path, data=data, headers=headers, query=query, timeout_s=timeout_s
        ) as response:
            parsed = await decode_json(await _read_body(response, MAX_BODY_BYTES))
            if not isinstance(parsed, dict):
                raise TransientFailure("the homeserver's response is not a JSON object")
            return parsed

    @asynccontextmanager
    async def open_response(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
        timeout_s: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a successful response, to be read inside the context. Raises the port's errors, also during the read."""
        address = URL(self._base + path + (f"?{urlencode(query)}" if query else ""), encoded=True)
        timeout = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s, sock_connect=self._timeout_s)
        try:
            async with self._client_session().request(
                method, address, data=data, headers=self._headers(headers), timeout=timeout
            ) as response:
                if not response.ok:
                    raise response_error(
                        response.status, response.headers, await decode_json(await _read_body(response, MAX_BODY_BYTES))
                    )
                yield response
        except CONNECTION_ERRORS as error:
            reason = connection_reason(error, timeout_s or self._timeout_s)
            raise TransientFailure(f"the homeserver could not be reached: {reason}") from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _headers(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        authorization = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {**authorization, **(extra or {})}

    def _client_session(self) -> aiohttp.ClientSession:
        # Made in the loop that uses it. Only one sync and a few requests run at once.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=20), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def response_error(status: int, headers: Mapping[str, str], body: object) -> Exception:
    """The port's error for an unsuccessful response. `body` is its JSON, None without one."""
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    code = fields.get("errcode")
    if status == 429:
        return RateLimited(_retry_after_s(headers.get("Retry-After"), fields.get("retry_after_ms")))
    if status >= 500 or status == 408:
        return TransientFailure(f"the homeserver answered with status {status}")
    if status == 401 and code == "M_UNKNOWN_TOKEN":
        return LoggedOut(soft=fields.get("soft_logout") is True)
    return RequestRefused(status, code if isinstance(code, str) else "", fields)


def _retry_after_s(header: str | None, body_ms: object) -> float:
    # The header is the newer way (Matrix 1.10); its other form, a date, is not used by homeservers.
    seconds = DEFAULT_RETRY_AFTER_S
    if header is not None and header.strip().isdecimal():
        seconds = float(header)
    elif isinstance(body_ms, int | float) and body_ms >= 0:
        seconds = min(body_ms, MAX_RETRY_AFTER_S * 1000) / 1000
    return min(seconds, MAX_RETRY_AFTER_S)


async def _read_body(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > limit_bytes:
            raise TransientFailure(f"the homeserver's response is over {limit_bytes} bytes")
    return bytes(data)

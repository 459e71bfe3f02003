"""Learns Discord's rate limits from the headers of its answers, for each route and channel apart."""

import asyncio
import re
from contextlib import suppress
from types import SimpleNamespace

import aiohttp
import discord

from adapters.delivery.rate_limit import Overall, Pace, Paces
from adapters.discord.reply_transport import Request

REQUESTS_PER_S = 50 / 1.25
"""Discord takes 50 requests a second of a bot (`topics/rate-limits.mdx`); `Overall` lets up to a fifth more through."""

METHODS: dict[Request, str] = {"send": "POST", "edit": "PATCH", "delete": "DELETE"}

# Limits are kept by method and channel, or by method and webhook (the answers to interactions).
ROUTE = re.compile(r"/(?P<kind>channels|webhooks)/(?P<major>\d+(?:/[^/]+)?)/messages(?:/|$)")


class Rates:
    """The paces of all routes that messages go over, and what all of them share."""

    def __init__(self) -> None:
        self.paces = Paces()
        self.overall = Overall(REQUESTS_PER_S)
        self._trace = aiohttp.TraceConfig()
        self._trace.on_request_end.append(self._ended)
        self._watched: list[aiohttp.TraceConfig] | None = None

    def of(self, kind: Request, channel_id: int) -> Pace:
        """The pace of a kind of request about messages of a channel."""
        return self.paces.of(f"{METHODS[kind]} channels/{channel_id}", asyncio.get_running_loop().time())

    @property
    def trace(self) -> aiohttp.TraceConfig:
        """What a client of our own is built with (`http_trace`)."""
        return self._trace

    def watch(self, bot: discord.Client) -> None:
        """Listen to a client that others have built. Where its session is hidden, the assumed pace stays."""
        session = getattr(bot.http, "_HTTPClient__session", None)
        configs = session.trace_configs if isinstance(session, aiohttp.ClientSession) else None
        if configs is not None and self._trace not in configs:
            self._trace.freeze()
            configs.append(self._trace)
            self._watched = configs

    def unwatch(self) -> None:
        """Stop listening."""
        if self._watched is not None:
            with suppress(ValueError):
                self._watched.remove(self._trace)
            self._watched = None

    async def _ended(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestEndParams
    ) -> None:
        key = route_key(request.method, request.url.path)
        if key is None:
            return
        now, headers = asyncio.get_running_loop().time(), request.response.headers
        pace = self.paces.of(key, now)
        with suppress(KeyError, ValueError):  # a proxy on the way may leave headers out
            if request.response.status == 429:
                pace.refused(now, float(headers["Retry-After"]))
            else:
                limit, left = int(headers["X-RateLimit-Limit"]), int(headers["X-RateLimit-Remaining"])
                pace.learn(now, limit, left, float(headers["X-RateLimit-Reset-After"]))


def route_key(method: str, path: str) -> str | None:
    """The limit that a request counts against; None for what is not about messages."""
    found = ROUTE.search(path)
    return f"{method} {found['kind']}/{found['major']}" if found else None

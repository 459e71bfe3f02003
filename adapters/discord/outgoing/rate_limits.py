"""Learns Discord's rate limits from the headers of its responses, separately for each route and channel."""

import asyncio
import re
from contextlib import suppress
from types import SimpleNamespace

import aiohttp
import discord

from adapters.delivery.rate_limit import GlobalRateLimit, RateLimit, RateLimits
from adapters.delivery.reply_transport import RequestKind

REQUESTS_PER_S = 50 / 1.25
"""Discord takes 50 requests a second of a bot (`topics/rate-limits.mdx`); `GlobalRateLimit` lets a few more through."""

METHODS: dict[RequestKind, str] = {"send": "POST", "picture": "POST", "edit": "PATCH", "delete": "DELETE"}

# Limits are kept by method and channel, or by method and webhook (responses to interactions).
ROUTE = re.compile(r"/(?P<kind>channels|webhooks)/(?P<major>\d+(?:/[^/]+)?)/messages(?:/|$)")


class DiscordRateLimits:
    """The rate limits of all routes that messages go over, and the one that they share."""

    def __init__(self) -> None:
        self.limits = RateLimits()
        self.global_limit = GlobalRateLimit(REQUESTS_PER_S)
        self._trace = aiohttp.TraceConfig()
        self._trace.on_request_end.append(self._on_request_end)
        self._watched: list[aiohttp.TraceConfig] | None = None

    def limit_for(self, kind: RequestKind, channel_id: int) -> RateLimit:
        """The rate limit of a kind of request about messages of a channel."""
        return self.limits.limit_for(f"{METHODS[kind]} channels/{channel_id}", asyncio.get_running_loop().time())

    @property
    def trace_config(self) -> aiohttp.TraceConfig:
        """The trace that a client of our own is built with (`http_trace`)."""
        return self._trace

    def watch_client(self, bot: discord.Client) -> None:
        """Listen to the client of another bot. When its session is not accessible, the assumed rate stays."""
        session = getattr(bot.http, "_HTTPClient__session", None)
        configs = session.trace_configs if isinstance(session, aiohttp.ClientSession) else None
        if configs is not None and self._trace not in configs:
            self._trace.freeze()
            configs.append(self._trace)
            self._watched = configs

    def unwatch_client(self) -> None:
        """Stop listening."""
        if self._watched is not None:
            with suppress(ValueError):
                self._watched.remove(self._trace)
            self._watched = None

    async def _on_request_end(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestEndParams
    ) -> None:
        key = route_key(request.method, request.url.path)
        if key is None:
            return
        now, headers = asyncio.get_running_loop().time(), request.response.headers
        rate_limit = self.limits.limit_for(key, now)
        with suppress(KeyError, ValueError):  # a proxy may drop headers
            if request.response.status == 429:
                rate_limit.record_refusal(now, float(headers["Retry-After"]))
            else:
                limit, left = int(headers["X-RateLimit-Limit"]), int(headers["X-RateLimit-Remaining"])
                rate_limit.update_window(now, limit, left, float(headers["X-RateLimit-Reset-After"]))


def route_key(method: str, path: str) -> str | None:
    """The limit that a request counts against; None for requests that are not about messages."""
    found = ROUTE.search(path)
    return f"{method} {found['kind']}/{found['major']}" if found else None

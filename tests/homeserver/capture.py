"""A proxy on loopback between a program and its homeserver: records everything, and makes things go wrong."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

from tests.homeserver.faults import Fault, Faults, Kind

# Headers of one connection, and of an encoding that aiohttp has already undone.
_NOT_PASSED = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"}
_SEND = re.compile(r"/rooms/([^/]+)/(?:send|state)/([^/]+)(?:/([^/]*))?$")
# Synapse answers a sync after 30 s at the latest, and uploads take their time.
_SERVER_WITHIN_S = 120.0


@dataclass
class Request:
    """One request: `body` as JSON where it is some, else bytes; `status` 0 until, or unless, it was answered."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    at_s: float = field(default_factory=time.monotonic)
    status: int = 0
    answer: Any = None

    @property
    def event(self) -> tuple[str, str, Any] | None:
        """Room, type and content if it sends an event or a piece of state into a room; None for anything else."""
        found = _SEND.search(self.path) if self.method == "PUT" else None
        return (unquote(found[1]), unquote(found[2]), self.body) if found else None

    @property
    def transaction(self) -> str:
        """The transaction id of a message, by which the server knows it again."""
        return self.path.rpartition("/")[2]


class Capture:
    """`url` is where the program connects; `requests` all it made; `faults` what goes wrong.

    `skew_s` is how far the server's clock is ahead, in all it tells. `server` may be changed at any time.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        self.requests: list[Request] = []
        self.faults = Faults()
        self.skew_s = 0.0
        self.url = ""
        self._news = asyncio.Condition()
        self._late: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession

    @classmethod
    @asynccontextmanager
    async def before(cls, server: str) -> AsyncIterator["Capture"]:
        """A proxy in front of a homeserver, on a free port."""
        self = cls(server)
        app = web.Application(client_max_size=256 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._pass)
        # A program that hangs up ends its request here too.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_SERVER_WITHIN_S)) as self._session:
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield self
            finally:
                self.faults.stop()
                for task in self._late:
                    task.cancel()
                await asyncio.gather(*self._late, return_exceptions=True)
                await runner.cleanup()

    def made(self, path: str, method: str = "") -> list[Request]:
        """The requests whose path holds a regular expression, oldest first."""
        return [each for each in self.requests if re.search(path, each.path) and method in ("", each.method)]

    def sent(self, room: str = "", kind: str = "") -> list[Request]:
        """The requests that sent events or state, of one room or one type where named, refused ones included."""
        return [
            each for each in self.requests if each.event and room in ("", each.event[0]) and kind in ("", each.event[1])
        ]

    async def until(self, condition: Callable[[], Any], timeout_s: float = 90.0) -> None:
        """Wait until something is true, looked at after each request; AssertionError with the last ones if never."""
        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(lambda: bool(condition()))
        except TimeoutError:
            last = "\n".join(f"{each.status} {each.method} {each.path}" for each in self.requests[-12:])
            raise AssertionError(f"not within {timeout_s} s; the last requests:\n{last}") from None

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        note = Request(request.method, request.path, dict(request.query), _readable(data))
        self.requests.append(note)
        await self._tell()
        try:
            return await self._answer(request, data, note)
        finally:
            await self._tell()

    async def _answer(self, request: web.Request, data: bytes, note: Request) -> web.StreamResponse:
        faults = self.faults.striking(request.method, request.path)
        for fault in faults:
            if fault.kind is Kind.HOLD:
                await self._tell()
                await fault.wait()
            elif fault.kind is Kind.ANSWER:
                note.status, note.answer = fault.status, fault.body
                return _response(fault.status, fault.body, fault.headers)
            elif fault.kind is Kind.REFUSE_CONNECTION:
                return _broken(request)
            elif fault.kind is Kind.POSTPONE:
                self._late.add(asyncio.create_task(self._later(fault, request, data, note)))
                return _response(200, fault.body, {})
        try:
            response = await self._forward(request, data, faults, note)
        except aiohttp.ClientError:
            note.status = 502
            return _response(502, "<html><h1>Bad Gateway</h1></html>", {})
        if any(fault.kind is Kind.LOSE_ANSWER for fault in faults):
            return _broken(request)
        return response

    async def _later(self, fault: Fault, request: web.Request, data: bytes, note: Request) -> None:
        await fault.wait()
        await self._forward(request, data, [], note)
        await self._tell()

    async def _forward(
        self, request: web.Request, data: bytes, faults: list[Fault], note: Request
    ) -> web.StreamResponse:
        url = URL(self.server + request.raw_path, encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED}
        async with self._session.request(
            request.method, url, data=data or None, headers=headers, allow_redirects=False
        ) as answer:
            body: Any = _readable(await answer.read())
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED}
        for fault in faults:
            if fault.change:
                body = fault.change(body)
        if self.skew_s:
            body = _skewed(body, round(self.skew_s * 1000))
            passed["Date"] = formatdate(time.time() + self.skew_s, usegmt=True)
        note.status, note.answer = answer.status, body
        return _response(answer.status, body, passed)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


def _readable(data: bytes) -> Any:
    """JSON as what it says, anything else as it is."""
    with contextlib.suppress(ValueError):
        return json.loads(data)
    return data


def _response(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    if isinstance(body, bytes):
        return web.Response(status=status, body=body, headers=headers)
    kind, text = ("text/html", body) if isinstance(body, str) else ("application/json", json.dumps(body))
    return web.Response(status=status, text=text, headers={**headers, "Content-Type": kind})


def _broken(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response()


def _skewed(told: Any, by_ms: int) -> Any:
    """All times of events and receipts moved."""
    if isinstance(told, list):
        return [_skewed(each, by_ms) for each in told]
    if not isinstance(told, dict):
        return told
    return {
        name: value + by_ms if name in ("origin_server_ts", "ts") and isinstance(value, int) else _skewed(value, by_ms)
        for name, value in told.items()
    }

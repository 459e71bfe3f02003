"""The HTTP side: every request is recorded, checked, judged by faults and limits, and then given to its route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from tests.discord_openapi import document_rules, written_rules
from tests.fakes.discord_server import refusals
from tests.fakes.discord_server.faults import Fault, Faults, Kind
from tests.fakes.discord_server.limits import Limits, Verdict, refusal
from tests.fakes.discord_server.refusals import Refused
from tests.fakes.discord_server.requests import Request, Requests
from tests.fakes.discord_server.world import World

API = "/api/v10"
# What stands in front of Discord: discord.py takes a 429 without it for a ban of the address.
_PROXY = {"Via": "1.1 loopback"}
# These carry a token of their own in the path.
_OWN_TOKEN = ("/interactions/", "/webhooks/")
# What rate limits tell apart, besides the route itself (rate-limits.mdx).
_MAJOR = ("channel_id", "guild_id", "webhook_id", "webhook_token")


@dataclass
class Call:
    """A request as a route sees it. `files` are the uploads, by their number."""

    ids: dict[str, str]
    query: dict[str, str]
    json: Any
    files: dict[int, tuple[str, bytes, str | None]] = field(default_factory=dict)

    def id(self, name: str) -> int:
        """One of the path's ids."""
        return int(self.ids[name])


Handler = Callable[[World, Call], Any]


class Routes:
    """A table of routes, filled by the modules that answer them."""

    def __init__(self) -> None:
        self.table: list[tuple[str, str, Handler]] = []

    def on(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Answer a method of a path template. None becomes 204."""

        def keep(handler: Handler) -> Handler:
            self.table.append((method, path, handler))
            return handler

        return keep


class Api:
    """Answers requests."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.requests = Requests()
        self.limits = Limits(world.clock)
        self.faults = Faults(world.clock)

    def attach(self, app: web.Application, *tables: Routes) -> None:
        """Serve the routes of these tables."""
        for table in tables:
            for method, path, handler in table.table:
                app.router.add_route(method, API + path, self._served(method, path, handler))
        app.router.add_get("/attachments/{id}/{name}", self._file)
        app.router.add_route("*", API + "/{rest:.*}", self._unknown)

    def _served(
        self, method: str, path: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            call = await _read(request)
            record = Request(method, path, call.ids, call.query, call.json, self._world.clock.now())
            record.files = [name for name, _, _ in call.files.values()]
            self.requests.add(record)
            response = await self._answered(request, record, call, handler)
            record.status = response.status
            return response

        return serve

    async def _answered(
        self, request: web.Request, record: Request, call: Call, handler: Handler
    ) -> web.StreamResponse:
        faults = self.faults.striking(record.method, record.path)
        await asyncio.sleep(sum(fault.seconds for fault in faults if fault.kind is Kind.DELAY))
        verdict = self.limits.judge(record.method, record.path, "+".join(call.ids.get(name, "") for name in _MAJOR))
        try:
            answer = self._struck(faults, verdict) or self._obeyed(request, record, call, handler, verdict)
        except Refused as refused:
            record.code = refused.code
            answer = _answer(refused.body(), refused.status, verdict.headers)
        if any(fault.kind is Kind.LOSS for fault in faults) and request.transport is not None:
            request.transport.abort()
        return answer

    def _struck(self, faults: list[Fault], verdict: Verdict) -> web.Response | None:
        """The answer of a fault or of the limits, if any."""
        for fault in faults:
            if fault.kind is Kind.STATUS:
                return web.Response(status=fault.status, text="upstream error", headers=_PROXY)
            if fault.kind is Kind.LIMIT:
                return _limited(refusal(fault.seconds))
            if fault.refusal is not None:
                raise fault.refusal
        return _limited(verdict) if verdict.refused else None

    def _obeyed(
        self, request: web.Request, record: Request, call: Call, handler: Handler, verdict: Verdict
    ) -> web.Response:
        if not record.path.startswith(_OWN_TOKEN) and request.headers.get("Authorization") != self._credentials():
            raise refusals.unauthorized()
        if wrong := written_rules(call.json):
            record.faults.extend(wrong)
            raise refusals.invalid_form(*wrong)
        record.faults.extend(document_rules(record.method, record.path, call.query, call.json))
        given = handler(self._world, call)
        return _answer(given, 204 if given is None else 200, verdict.headers)

    def _credentials(self) -> str:
        return f"Bot {self._world.settings.token}"

    async def _file(self, request: web.Request) -> web.StreamResponse:
        stored = self._world.files.get(int(request.match_info["id"]))
        if stored is None or stored.gone:
            return web.Response(status=404)
        return web.Response(body=stored.data, content_type="application/octet-stream")

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(API)
        record = Request(request.method, path, {}, dict(request.query), None, self._world.clock.now(), status=404)
        record.faults = ["the fake Discord does not know this route"]
        self.requests.add(record)
        return _answer({"message": "404: Not Found", "code": 0}, 404, {})


def _answer(data: Any, status: int, headers: Mapping[str, str]) -> web.Response:
    if data is None:
        return web.Response(status=status, headers=_PROXY | dict(headers))
    # Written without a charset: discord.py parses exactly this content type.
    told = {**_PROXY, **headers, "Content-Type": "application/json"}
    return web.Response(body=json.dumps(data).encode(), status=status, headers=told)


def _limited(verdict: Verdict) -> web.Response:
    return _answer(verdict.body(), 429, verdict.headers)


async def _read(request: web.Request) -> Call:
    call = Call(dict(request.match_info), dict(request.query), None)
    if request.content_type == "multipart/form-data":
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "payload_json":
                call.json = json.loads(await part.text())
            elif part.name and part.name.startswith("files["):
                number = int(part.name[6:-1])
                call.files[number] = part.filename or "file", bytes(await part.read()), part.headers.get("Content-Type")
    elif request.can_read_body:
        call.json = await request.json()
    return call

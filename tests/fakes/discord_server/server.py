"""A Discord of our own on loopback, for real discord.py: the one object that tests use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.gateway import Gateway
from tests.fakes.discord_server.guild import Guild
from tests.fakes.discord_server.http import API, Api
from tests.fakes.discord_server.people import Member, User
from tests.fakes.discord_server.redirect import discord_py_at, impatient_discord_py
from tests.fakes.discord_server.routes_commands import commands
from tests.fakes.discord_server.routes_interactions import interactions
from tests.fakes.discord_server.routes_messages import messages
from tests.fakes.discord_server.routes_places import places
from tests.fakes.discord_server.world import Settings, World

_LOOK_EVERY_S = 0.01


class DiscordServer:
    """What people do, what the bot did, and what goes wrong.

    `clock` moves time on; `limits` and `faults` are of the HTTP API; `gateway` dies in many ways; `requests` are all
    that the bot made; `commands` what it has registered; `settings` what the developer portal would show.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.world = World(settings or Settings())
        self.settings, self.clock, self.commands = self.world.settings, self.world.clock, self.world.commands
        self.gateway = Gateway(self.world)
        self._api = Api(self.world)
        self.requests, self.limits, self.faults = self._api.requests, self._api.limits, self._api.faults

    @property
    def bot(self) -> User:
        """The bot's account."""
        return self.world.bot

    @property
    def token(self) -> str:
        """The token with which it logs in."""
        return self.settings.token

    def guild(self, name: str) -> Guild:
        """The guild of that name, with the bot in it; made where there is none."""
        return self.world.guild(name)

    def direct(self, who: User | Member) -> Channel:
        """The bot's direct messages with one person."""
        return self.world.direct(who)

    def person(self, name: str) -> User:
        """A user, in no guild unless made a member."""
        return self.world.person(name)

    async def until(self, condition: Callable[[], Any], timeout_s: float = 60.0) -> None:
        """Wait until something is true. Fails the test after `timeout_s`, showing the last requests."""
        ends = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > ends:
                last = "\n".join(map(str, list(self.requests)[-12:]))
                raise AssertionError(f"not within {timeout_s} s; the bot's last requests:\n{last}")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def connected(self, shards: int = 1) -> None:
        """Wait until the bot's gateway session is there."""
        await self.until(lambda: len(self.gateway.live) >= shards)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve on a free port of loopback; discord.py is pointed here meanwhile."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        self._api.attach(app, places, messages, interactions, commands)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            self.world.base_url = f"http://127.0.0.1:{port}"
            with discord_py_at(self.world.base_url + API, self.world.gateway_url), impatient_discord_py():
                yield
        finally:
            self.gateway.drop()
            await runner.cleanup()


@asynccontextmanager
async def discord_server(settings: Settings | None = None) -> AsyncIterator[DiscordServer]:
    """A running fake Discord. At its end the test fails if Discord's own API description forbids what was requested."""
    server = DiscordServer(settings)
    async with server.serving():
        yield server
    assert not server.requests.faults, "\n".join(server.requests.faults)

"""Points discord.py at another server, takes its fixed waits away, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route
from discord.state import ConnectionState


@contextmanager
def discord_py_at(api_url: str, gateway_url: str) -> Iterator[None]:
    """Every request and socket of discord.py, of any client, goes there meanwhile."""
    api, gateway = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = api_url, yarl.URL(gateway_url)
    try:
        yield
    finally:
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = api, gateway


@contextmanager
def impatient_discord_py() -> Iterator[None]:
    """Meanwhile clients of discord.py are ready 0.05 s after their last guild, and identify themselves without a pause.

    It leaves 2 s for further guilds, and 5 s before each session but the first, which Discord asks for.
    """
    init, hook = ConnectionState.__init__, discord.Client.before_identify_hook

    def make(self: Any, **options: Any) -> None:
        init(self, **{"guild_ready_timeout": 0.05, **options})

    async def identify(self: Any, shard_id: int | None, *, initial: bool = False) -> None:
        """No pause."""

    ConnectionState.__init__ = make  # type: ignore[assignment]
    discord.Client.before_identify_hook = identify  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConnectionState.__init__, discord.Client.before_identify_hook = init, hook  # type: ignore[method-assign]

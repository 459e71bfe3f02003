"""Real discord.py clients at the fake Discord."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import discord

from tests.fakes.discord_server.server import DiscordServer

AnyClient = TypeVar("AnyClient", bound=discord.Client)


class Listener(discord.Client):
    """A bare client that keeps what it hears."""

    def __init__(self, *, contents: bool = True, **options: Any) -> None:
        intents = discord.Intents(guilds=True, messages=True, message_content=contents)
        # discord.py waits so long after the last guild before it calls itself ready; 2 s unless told.
        options.setdefault("guild_ready_timeout", 0.05)
        super().__init__(
            intents=intents, member_cache_flags=discord.MemberCacheFlags.none(), max_messages=None, **options
        )
        self.heard: list[str] = []
        self.events: list[str] = []

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without the 5 s that discord.py leaves before each session but the first."""

    async def on_message(self, message: discord.Message) -> None:
        if self.user is None or message.author.id != self.user.id:
            self.heard.append(message.content)

    async def on_ready(self) -> None:
        self.events.append("ready")

    async def on_resumed(self) -> None:
        self.events.append("resumed")


@asynccontextmanager
async def running(server: DiscordServer, client: AnyClient) -> AsyncIterator[AnyClient]:
    """The client, logged in and ready; raises what its login raises."""
    task = asyncio.create_task(client.start(server.token))
    try:
        await server.until(lambda: task.done() or client.is_ready())
        if task.done():
            task.result()
        yield client
    finally:
        await client.close()
        task.cancel()
        await asyncio.wait([task])

"""The loopback Discord as tests of the adapter need it: a server, a channel, a person, and processes of Hearth."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.discord.adapter import DiscordAdapter
from adapters.discord.composition import cog_builder
from adapters.discord.settings import DiscordSettings
from bot.core.ports import Inbox
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.message import Message
from tests.fakes.discord_server.people import Member

TOKEN_ENV = "HEARTH_TEST_DISCORD_TOKEN"


@dataclass
class DiscordHarness:
    """`root` may do everything on the server; `folder` is the data folder of all processes."""

    server: DiscordServer
    folder: Path

    def __post_init__(self) -> None:
        home = self.server.guild("Rook Lane")
        self.channel: Channel = home.channel("kitchen")
        self.ana: Member = home.member("Ana")
        self.root: Member = home.member("Root", admin=True)

    @property
    def shown(self) -> list[str]:
        """The bot's messages in the channel, oldest first."""
        return [message.content for message in self.channel.said_by_bot]

    def settings(self, **more: object) -> DiscordSettings:
        """The adapter's settings; the token's variable is set."""
        return DiscordSettings(token_env=TOKEN_ENV).model_copy(update=more)

    def adapter(self, **more: object) -> DiscordAdapter:
        """The adapter as `hearth run` builds it."""
        settings = self.settings(**more)
        return DiscordAdapter(settings, self.folder, cog_builder(settings, self.folder))

    @asynccontextmanager
    async def living(self, inbox: Inbox, **more: object) -> AsyncIterator[DiscordAdapter]:
        """A process with the adapter, connected."""
        adapter = self.adapter(**more)
        running = asyncio.create_task(adapter.run(inbox))
        connected = asyncio.create_task(self.server.connected())
        try:
            await asyncio.wait({running, connected}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            yield adapter
        finally:
            for task in (running, connected):
                task.cancel()
            await asyncio.gather(running, connected, return_exceptions=True)
            await adapter.close()

    async def ask(self, text: str, files: dict[str, bytes] | None = None) -> Message:
        """Ana asks by mention."""
        return await self.channel.say(self.ana, f"<@bot> {text}", files=files)

    async def until(self, condition: Callable[[], Any], timeout_s: float = 60.0) -> None:
        """Wait until something is true, or fail the test."""
        await self.server.until(condition, timeout_s)

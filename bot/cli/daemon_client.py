"""Reaches the process that owns the data folder, or becomes it when there is none."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from adapters.console.channel import StreamChannel
from bot.cli.output import tell
from bot.cli.runner import Failure
from bot.config.loading import Config
from bot.daemon import hosting
from bot.server.folder_lock import FolderInUse
from bot.server.local_socket import connect
from bot.startup_progress import Report

Event = Mapping[str, Any]
RETRY_S = 0.3


class Hearth:
    """A way to the process that owns the data folder."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @asynccontextmanager
    async def request(self, command: str, **fields: Any) -> AsyncIterator["Exchange"]:
        """Ask for something on a connection of its own. Raises Failure when the process is gone."""
        channel = await connect(self._config.data_folder, self._config.console.line_bytes)
        if channel is None:
            raise Failure("The Hearth process that owned the data folder has ended. Try again.")
        try:
            await channel.write({"command": command, **fields})
            yield Exchange(channel)
        finally:
            await channel.close()


class Exchange:
    """A request under way: events come, and with `chat` lines may go."""

    def __init__(self, channel: StreamChannel) -> None:
        self.channel = channel

    async def events(self) -> AsyncIterator[Event]:
        """What the process says, until it has said everything."""
        async for line in self.channel.lines():
            if line:
                yield json.loads(line)

    async def send(self, **line: Any) -> None:
        """Write a line."""
        await self.channel.write(line)


@asynccontextmanager
async def reaching(config: Config, report: Report, *, with_model: bool = True) -> AsyncIterator[Hearth]:
    """Hearth for as long as the context lasts: the running process, or this one, as long as it takes.

    Without `with_model` this process, if it has to be Hearth itself, only sees to documents.
    """
    async with AsyncExitStack() as stack:
        told = False
        while not await is_reachable(config):
            try:
                await stack.enter_async_context(hosting(config, report=report, with_model=with_model))
            except FolderInUse as error:
                if not told:
                    told = True
                    tell(f"Process {error.pid} owns the data folder and is starting or stopping; waiting for it.")
                await asyncio.sleep(RETRY_S)
        yield Hearth(config)


async def is_reachable(config: Config) -> bool:
    """Whether a process owns the data folder and lets clients in."""
    channel = await connect(config.data_folder, config.console.line_bytes)
    if channel is None:
        return False
    await channel.close()
    return True

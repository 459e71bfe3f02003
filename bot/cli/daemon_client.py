"""Client of the process that owns the data folder; becomes that process when there is none."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from adapters.json_lines.channel import StreamChannel
from bot.cli.runner import CliError
from bot.cli.terminal.output import print_errors
from bot.config.schema import Config
from bot.daemon import run_daemon
from bot.server.folder_lock import FolderInUse
from bot.server.local_socket import connect_to_daemon
from bot.startup_progress import ReportStartup

DaemonEvent = Mapping[str, Any]
RETRY_S = 0.3


class DaemonClient:
    """Client of the process that owns the data folder."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @asynccontextmanager
    async def open_request(self, command: str, **fields: Any) -> AsyncIterator["DaemonRequest"]:
        """Send a request on a connection of its own. Raises CliError when the process has ended."""
        channel = await connect_to_daemon(self._config.data_folder, self._config.local_line_bytes)
        if channel is None:
            raise CliError("The Hearth process that owned the data folder has ended. Try again.")
        try:
            await channel.write_event({"command": command, **fields})
            yield DaemonRequest(channel)
        finally:
            await channel.close()


class DaemonRequest:
    """A request in progress: events come in, and with `chat` lines go out."""

    def __init__(self, channel: StreamChannel) -> None:
        self.channel = channel

    async def read_events(self) -> AsyncIterator[DaemonEvent]:
        """The events of the request, until the last."""
        async for line in self.channel.read_lines():
            if line:
                yield json.loads(line)

    async def send(self, **line: Any) -> None:
        """Write a line."""
        await self.channel.write_event(line)


@asynccontextmanager
async def connect_or_host(
    config: Config, on_progress: ReportStartup, *, with_model: bool = True
) -> AsyncIterator[DaemonClient]:
    """Hearth for as long as the context lasts: the running process, or else this one.

    Without `with_model` this process, if it has to be Hearth itself, only indexes and searches documents.
    """
    async with AsyncExitStack() as stack:
        is_reported = False
        while not await is_reachable(config):
            try:
                await stack.enter_async_context(run_daemon(config, on_progress=on_progress, with_model=with_model))
            except FolderInUse as error:
                if not is_reported:
                    is_reported = True
                    print_errors(
                        f"Process {error.pid} owns the data folder and is starting or stopping; waiting for it."
                    )
                await asyncio.sleep(RETRY_S)
        yield DaemonClient(config)


async def is_reachable(config: Config) -> bool:
    """Whether a process owns the data folder and lets clients in."""
    channel = await connect_to_daemon(config.data_folder, config.local_line_bytes)
    if channel is None:
        return False
    await channel.close()
    return True

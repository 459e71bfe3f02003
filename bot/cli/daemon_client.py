"""Client of the process that owns the data folder; becomes that process when there is none."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from adapters.json_lines.channel import StreamChannel
from bot.cli.runner import CliError
from bot.cli.terminal.output import print_errors
from bot.config.schema import Config
from bot.daemon import Daemon, run_daemon
from bot.server.folder_lock import FolderInUse, owner_pid, owner_work
from bot.server.local_socket import connect_to_daemon
from bot.startup_progress import ReportStartup

DaemonEvent = Mapping[str, Any]
RETRY_S = 0.3
TRIES = 20
"""Short-lived commands, one after the other, can take the data folder from each other."""
Value = TypeVar("Value")
NOTICE_AFTER_S = 1.0
STARTING = "starting or stopping"
CONNECTION_LOST = "Hearth has ended before the answer did. Ask again."


class OwnerLeft(CliError):
    """The process that owned the data folder left before it took the request, which can be made again."""


class DaemonClient:
    """Client of the process that owns the data folder."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @asynccontextmanager
    async def open_request(self, command: str, **fields: Any) -> AsyncIterator["DaemonRequest"]:
        """Send a request on a connection of its own. Raises OwnerLeft when the process has ended."""
        channel = await connect_to_daemon(self._config.data_folder, self._config.local_line_bytes)
        if channel is None:
            raise OwnerLeft("The Hearth process that owned the data folder has ended. Try again.")
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
        daemon: Daemon | None = None
        notice = WaitingNotice()
        while daemon is None and not await _can_serve(config, with_model, notice):
            try:
                daemon = await stack.enter_async_context(
                    run_daemon(config, on_progress=on_progress, with_model=with_model)
                )
            except FolderInUse as error:
                await notice.wait(f"Process {error.pid} owns the data folder and is {error.work or STARTING}")
        yield DaemonClient(config)
        if daemon is not None:
            await finish_clients(daemon)


async def retry_when_left(request: Callable[[], Awaitable[Value]]) -> Value:
    """The result of a request, made again when the process that owned the data folder left before it took it."""
    for _ in range(TRIES):
        try:
            return await request()
        except OwnerLeft:
            await asyncio.sleep(RETRY_S)
    return await request()


async def finish_clients(daemon: Daemon) -> None:
    """Serve the clients that came while this process was Hearth, before it leaves."""
    finishing = asyncio.create_task(daemon.finish_clients())
    try:
        if not (await asyncio.wait({finishing}, timeout=NOTICE_AFTER_S))[0]:
            print_errors("Other clients still wait for answers from this process; Ctrl-C leaves at once.")
        await finishing
    finally:
        finishing.cancel()


async def _can_serve(config: Config, with_model: bool, notice: "WaitingNotice") -> bool:
    """Whether a process lets clients in that does what is needed; waits for one that has no model to end."""
    while await is_reachable(config):
        work = owner_work(config.data_folder) if with_model else ""
        if not work:
            return True
        await notice.wait(f"Process {owner_pid(config.data_folder)} owns the data folder and is {work}")
    return False


async def enter_when_free(
    stack: AsyncExitStack, make_daemon: Callable[[], AbstractAsyncContextManager[Daemon]]
) -> Daemon:
    """Become the process that owns the data folder, after one that owns it only for work that ends by itself.

    Raises FolderInUse when the owner does other work.
    """
    notice = WaitingNotice()
    while True:
        try:
            return await stack.enter_async_context(make_daemon())
        except FolderInUse as error:
            if not error.work:
                raise
            await notice.wait(f"Process {error.pid} owns the data folder and is {error.work}")


class WaitingNotice:
    """Tells once that this process waits for another one."""

    def __init__(self) -> None:
        self._is_told = False

    async def wait(self, sentence: str) -> None:
        """Tell, unless it was told, and wait a moment."""
        if not self._is_told:
            print_errors(f"{sentence}; waiting for it.")
        self._is_told = True
        await asyncio.sleep(RETRY_S)


async def is_reachable(config: Config) -> bool:
    """Whether a process owns the data folder and lets clients in."""
    channel = await connect_to_daemon(config.data_folder, config.local_line_bytes)
    if channel is None:
        return False
    await channel.close()
    return True


async def read_state(hearth: DaemonClient) -> DaemonEvent:
    """The state of the index, from the process that owns the data folder. Raises CliError when it has ended."""
    async with hearth.open_request("state") as exchange:
        async for event in exchange.read_events():
            if event["event"] == "error":
                raise CliError(event["sentence"])
            return event
    raise CliError("The process that owns the data folder has ended.")

"""Being the process that owns the data folder: Hearth itself, its local socket, and the console."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from adapters.console.adapter import ConsoleAdapter
from adapters.console.channel import ConsoleChannel
from bot.app import App, open_app
from bot.config.loading import Config
from bot.core.ports import Adapter
from bot.server.local_socket import LocalServer
from bot.server.socket_commands import SocketCommands
from bot.startup_progress import ReportStartup, ignore_progress


@dataclass(frozen=True)
class Daemon:
    """A running Hearth with its console."""

    app: App
    console: ConsoleAdapter


@asynccontextmanager
async def run_daemon(
    config: Config,
    *,
    home: ConsoleChannel | None = None,
    adapters: Sequence[Adapter] = (),
    serve_http: bool = False,
    with_model: bool = True,
    report: ReportStartup = ignore_progress,
) -> AsyncIterator[Daemon]:
    """Run Hearth for as long as the context lasts; raises what `open_app` raises.

    Without `with_model` only documents are seen to: no model is loaded, nothing is answered, and nobody may chat.

    When an adapter dies, the body is cancelled and the adapter's error comes out in an ExceptionGroup. At the end no
    new message is taken, running answers get their time, and only then are the clients' connections closed.
    """
    console = ConsoleAdapter(config.console, home)
    async with AsyncExitStack() as stack:
        server = LocalServer(config.data_folder, config.console.line_bytes)
        stack.push_async_callback(server.close)
        used = config if with_model else _without_model(config)
        app = await stack.enter_async_context(open_app(used, serve_http=serve_http, report=report))
        await server.listen(SocketCommands(console if with_model else None, app.library).handlers())
        stack.push_async_callback(server.stop)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(app.run(*((console, *adapters) if with_model else ())))
            yield Daemon(app, console)
            running.cancel()


def _without_model(config: Config) -> Config:
    return config.model_copy(update={"model": config.model.model_copy(update={"engine": "echo"})})

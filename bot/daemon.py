"""The process that owns the data folder: Hearth itself, its local socket, and the adapters of its platforms."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from adapters.json_lines.channel import LineChannel
from adapters.local_chat import LocalChatAdapter
from adapters.platform import BotProfile, BuildContext, PlatformAdapter
from bot.app import App, open_app
from bot.config.schema import Config
from bot.core.ports import Adapter
from bot.platforms import PlatformUnusable, import_reason, load_platforms
from bot.server.local_socket import LocalServer
from bot.server.socket_commands import SocketCommands
from bot.startup_progress import ReportStartup, ignore_progress

DOCUMENTS_ONLY = "indexing or searching documents"
"""The work of a process without the language model, as others are told of it."""


@dataclass(frozen=True)
class Daemon:
    """A running Hearth, and the adapter of its local clients."""

    app: App
    local_chat: LocalChatAdapter
    server: LocalServer
    commands: SocketCommands

    @property
    def is_busy(self) -> bool:
        """Whether a client waits for an answer, a search or an index."""
        return self.app.inbox.is_busy or self.commands.is_working

    async def finish_clients(self) -> None:
        """Accept no further clients, and wait until those that are waiting have got what they asked for."""
        self.server.refuse_clients()
        while self.is_busy:
            await self.commands.wait_until_idle()
            await self.app.inbox.wait_until_answered()


@asynccontextmanager
async def run_daemon(
    config: Config,
    *,
    home: LineChannel | None = None,
    adapters: Sequence[Adapter] = (),
    serve_http: bool = False,
    with_model: bool = True,
    on_progress: ReportStartup = ignore_progress,
) -> AsyncIterator[Daemon]:
    """Run Hearth for as long as the context lasts; raises what `open_app` raises.

    Without `with_model` only documents are indexed and searched: no model is loaded, and clients cannot chat.

    When an adapter fails, the body is cancelled and the adapter's error is raised in an ExceptionGroup. On shutdown no
    new messages are accepted, running answers get time to end, and the clients' connections are closed last.
    """
    platform = load_platforms().local_chat
    local_chat = platform.build(config.platform_settings(platform), build_context(config, home))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(local_chat.close)
        server = LocalServer(config.data_folder, config.local_line_bytes)
        stack.push_async_callback(server.close)
        used = config if with_model else _without_model(config)
        work = "" if with_model else DOCUMENTS_ONLY
        app = await stack.enter_async_context(open_app(used, serve_http=serve_http, on_progress=on_progress, work=work))
        commands = SocketCommands(local_chat if with_model else None, app.library)
        await server.listen(commands.handlers())
        stack.push_async_callback(server.stop)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(app.run(*((local_chat, *adapters) if with_model else ())))
            yield Daemon(app, local_chat, server, commands)
            running.cancel()


@asynccontextmanager
async def open_adapters(config: Config) -> AsyncIterator[list[PlatformAdapter]]:
    """Build the adapters of the platforms that are switched on, and close them at the end of the context.

    Enter it before `run_daemon`: the core may still send when it closes. Raises PlatformUnusable.
    """
    context = build_context(config)
    async with AsyncExitStack() as stack:
        adapters: list[PlatformAdapter] = []
        for platform in config.enabled_platforms():
            try:
                adapter = platform.build(config.platform_settings(platform), context)
            except ImportError as error:
                raise PlatformUnusable(platform.title, import_reason(error)) from error
            stack.push_async_callback(adapter.close)
            adapters.append(adapter)
        yield adapters


def build_context(config: Config, home: LineChannel | None = None) -> BuildContext:
    """The context for building adapters, from the rest of the config."""
    core = config.core
    language = "en" if core.language == "auto" else core.language
    return BuildContext(config.data_folder, BotProfile(core.name, core.command_prefix, language), home)


def _without_model(config: Config) -> Config:
    return config.model_copy(update={"model": config.model.model_copy(update={"engine": "echo"})})

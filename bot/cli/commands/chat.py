"""`hearth chat`: a conversation in this terminal, or many by JSON lines."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

import click

from adapters.json_lines.channel import bad_line_event
from adapters.json_lines.stdio import StdioChannel
from bot.cli.daemon_client import CONNECTION_LOST, DaemonRequest, connect_or_host, finish_clients, is_reachable
from bot.cli.runner import CliError, config_option, run_and_exit
from bot.cli.terminal.startup_view import StartupView
from bot.config.schema import Config
from bot.daemon import run_daemon
from bot.server.folder_lock import FolderInUse


@click.command()
@click.option("--conversation", default="local", show_default=True, help="Name of the conversation to go on with.")
@click.option("--jsonl", is_flag=True, help="JSON messages on standard input, JSON events on standard output.")
@config_option
def chat(config: Config, conversation: str, jsonl: bool) -> NoReturn:
    """Talk with Hearth. Ctrl-C stops an answer, Ctrl-D leaves."""
    run_and_exit(_jsonl(config) if jsonl else _chat(config, conversation))


async def _chat(config: Config, conversation: str) -> None:
    # Imported only where it is used: --jsonl starts sooner without the terminal's libraries.
    from bot.cli.conversation import Terminal

    with StartupView() as view:
        async with connect_or_host(config, view) as hearth, hearth.open_request("chat") as exchange:
            view.close()
            await Terminal(exchange, conversation).run()


async def _jsonl(config: Config) -> int:
    channel = StdioChannel(sys.stdin.fileno(), sys.stdout.fileno(), config.local_line_bytes)
    try:
        with StartupView() as view:
            if not await is_reachable(config) and await _host_on_stdio(config, channel, view):
                return 0
            async with (
                connect_or_host(config, view) as hearth,
                hearth.open_request("chat", folder=str(Path.cwd())) as exchange,
            ):
                await _relay(channel, exchange)
                return 0
    finally:
        await channel.close()


async def _host_on_stdio(config: Config, channel: StdioChannel, view: StartupView) -> bool:
    """Run Hearth directly on standard input and output; False when another process has just become it.

    Not through the socket: data buffered there would be lost if this process were killed.
    """
    async with AsyncExitStack() as stack:
        try:
            daemon = await stack.enter_async_context(run_daemon(config, home=channel, on_progress=view))
        except FolderInUse:
            return False
        view.close()
        await daemon.local_chat.home_ended.wait()
        await finish_clients(daemon)
    return True


async def _relay(channel: StdioChannel, exchange: DaemonRequest) -> None:
    sending = asyncio.create_task(_send_lines(channel, exchange))
    try:
        async for event in exchange.read_events():
            if event["event"] == "end":
                return
            await channel.write_event(event)
    finally:
        sending.cancel()
    raise CliError(CONNECTION_LOST)


async def _send_lines(channel: StdioChannel, exchange: DaemonRequest) -> None:
    number = 0
    async for line in channel.read_lines():
        number += 1
        # A line too long to hold still counts: the other side numbers lines too.
        await exchange.channel.write_line((line or b"") + b"\n")
        if line is None:
            await channel.write_event(bad_line_event(number, "the line is too long"))
    exchange.channel.write_eof()

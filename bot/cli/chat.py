"""`hearth chat`: a conversation in this terminal, or many by JSON lines."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

import click

from adapters.console.events import bad_line
from adapters.console.stdio import StdioChannel
from bot.cli.ask_stream import LOST
from bot.cli.daemon_client import Exchange, is_reachable, reaching
from bot.cli.runner import Failure, config_option, run
from bot.cli.startup_view import StartView
from bot.config.loading import Config
from bot.daemon import hosting
from bot.server.folder_lock import FolderInUse


@click.command()
@click.option("--conversation", default="local", show_default=True, help="Name of the conversation to go on with.")
@click.option("--jsonl", is_flag=True, help="JSON messages on standard input, JSON events on standard output.")
@config_option
def chat(config: Config, conversation: str, jsonl: bool) -> NoReturn:
    """Talk with Hearth. Ctrl-C stops an answer, Ctrl-D leaves."""
    run(_jsonl(config) if jsonl else _chat(config, conversation))


async def _chat(config: Config, conversation: str) -> None:
    # Imported here: the terminal's libraries are no business of --jsonl, which starts sooner without them.
    from bot.cli.terminal import Terminal

    with StartView() as view:
        async with reaching(config, view) as hearth, hearth.request("chat") as exchange:
            view.end()
            await Terminal(exchange, conversation, config.core.command_prefix).run()


async def _jsonl(config: Config) -> int:
    channel = StdioChannel(sys.stdin.fileno(), sys.stdout.fileno(), config.console.line_bytes)
    try:
        with StartView() as view:
            if not await is_reachable(config) and await _at_home(config, channel, view):
                return 0
            async with reaching(config, view) as hearth, hearth.request("chat", folder=str(Path.cwd())) as exchange:
                await _pass_through(channel, exchange)
                return 0
    finally:
        await channel.close()


async def _at_home(config: Config, channel: StdioChannel, view: StartView) -> bool:
    """Be Hearth, right on standard input and output; False when another process has just become it.

    Not through the socket: what is in between would be lost if this process were killed.
    """
    async with AsyncExitStack() as stack:
        try:
            host = await stack.enter_async_context(hosting(config, home=channel, report=view))
        except FolderInUse:
            return False
        view.end()
        await host.console.home_ended.wait()
    return True


async def _pass_through(channel: StdioChannel, exchange: Exchange) -> None:
    sending = asyncio.create_task(_send(channel, exchange))
    try:
        async for event in exchange.events():
            if event["event"] == "end":
                return
            await channel.write(event)
    finally:
        sending.cancel()
    raise Failure(LOST)


async def _send(channel: StdioChannel, exchange: Exchange) -> None:
    number = 0
    async for line in channel.lines():
        number += 1
        # A line too long to hold still counts: the other side numbers lines too.
        await exchange.channel.forward((line or b"") + b"\n")
        if line is None:
            await channel.write(bad_line(number, "the line is too long"))
    exchange.channel.end()

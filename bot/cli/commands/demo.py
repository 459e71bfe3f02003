"""`hearth demo`: questions about the handbook of an invented home, with the small default models."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click
from rich.text import Text

from bot.cli.ask_stream import ChatQuestion, ask_and_show
from bot.cli.commands.index import reindex, show_report
from bot.cli.conversation import Terminal
from bot.cli.daemon_client import DaemonClient, connect_or_host
from bot.cli.next_steps import next_step
from bot.cli.runner import EXIT_FAILED, CliError, load_or_exit, run_and_exit
from bot.cli.terminal.output import make_console
from bot.cli.terminal.startup_view import StartupView

CONFIG = Path(__file__).parents[3] / "deploy/demo/config.yaml"
QUESTION = "On which shelf is the backup drive?"


@click.command()
@click.option("--question", envvar="QUESTION", default="", help="Ask this and leave; otherwise $QUESTION.")
def demo(question: str) -> NoReturn:
    """Index the demo's documents and chat about them; without a terminal, or with a question, ask once and leave."""
    run_and_exit(_demo(question))


async def _demo(question: str) -> int:
    if not CONFIG.is_file():
        raise CliError(
            "The demo's documents are part of a checkout of Hearth, and this is none: run `make demo` there."
        )
    config = load_or_exit(CONFIG)
    with StartupView() as view:
        async with connect_or_host(config, view) as hearth:
            view.close()
            show_report(await reindex(hearth, ()))
            if question or not (sys.stdin.isatty() and sys.stdout.isatty()):
                return await _ask(hearth, question or QUESTION)
            make_console().print(f"\n{next_step()}")
            async with hearth.open_request("chat") as exchange:
                await Terminal(exchange, "demo").run()
    return 0


async def _ask(hearth: DaemonClient, question: str) -> int:
    out = make_console()
    out.print(Text(f"> {question}", style="bold"))
    async with hearth.open_request("chat") as exchange:
        answered = await ask_and_show(
            ChatQuestion(f"demo-{os.getpid()}", question), exchange, exchange.read_events(), out
        )
    out.print(f"\n{next_step()}", end="")
    return 0 if answered else EXIT_FAILED

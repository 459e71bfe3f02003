"""`hearth demo`: the handbook of an invented home, to be asked about with the small default models."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click
from rich.text import Text

from bot.cli.ask_stream import Asked, show
from bot.cli.daemon_client import Hearth, reaching
from bot.cli.index import reindex, show_report
from bot.cli.next_steps import next_step
from bot.cli.output import console
from bot.cli.runner import FAILED, Failure, load, run
from bot.cli.startup_view import StartView
from bot.cli.terminal import Terminal

CONFIG = Path(__file__).parents[2] / "deploy/demo/config.yaml"
QUESTION = "On which shelf is the backup drive?"


@click.command()
@click.option("--question", envvar="QUESTION", default="", help="Ask this and leave; otherwise $QUESTION.")
def demo(question: str) -> NoReturn:
    """Index the demo's documents and chat about them; without a terminal, or with a question, ask once and leave."""
    run(_demo(question))


async def _demo(question: str) -> int:
    if not CONFIG.is_file():
        raise Failure("The demo's documents are part of a checkout of Hearth, and this is none: run `make demo` there.")
    config = load(CONFIG)
    with StartView() as view:
        async with reaching(config, view) as hearth:
            view.end()
            show_report(await reindex(hearth, ()))
            if question or not (sys.stdin.isatty() and sys.stdout.isatty()):
                return await _ask(hearth, question or QUESTION)
            console().print(f"\n{next_step()}")
            async with hearth.request("chat") as exchange:
                await Terminal(exchange, "demo", config.core.command_prefix).run()
    return 0


async def _ask(hearth: Hearth, question: str) -> int:
    out = console()
    out.print(Text(f"> {question}", style="bold"))
    async with hearth.request("chat") as exchange:
        answered = await show(Asked(f"demo-{os.getpid()}", question), exchange, exchange.events(), out)
    out.print(f"\n{next_step()}", end="")
    return 0 if answered else FAILED

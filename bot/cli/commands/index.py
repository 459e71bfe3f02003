"""`hearth index`: brings the documents' index up to date."""

import sys
from typing import NoReturn

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bot.cli.daemon_client import DaemonClient, DaemonEvent, connect_or_host
from bot.cli.runner import CliError, config_option, run_and_exit
from bot.cli.terminal.output import make_console, print_errors, print_json, printable
from bot.cli.terminal.startup_view import StartupView
from bot.config.schema import Config

WORDS = {"scanning": "Looking at", "reading": "Reading", "embedding": "Embedding", "saving": "Saving"}


@click.command()
@click.argument("collections", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@config_option
def index(config: Config, collections: tuple[str, ...], as_json: bool) -> NoReturn:
    """Bring COLLECTIONS up to date with their folders, all of them unless named. Only what changed is read."""
    run_and_exit(_index(config, collections, as_json))


async def _index(config: Config, collections: tuple[str, ...], as_json: bool) -> int:
    with StartupView() as view:
        async with connect_or_host(config, view, with_model=False) as hearth:
            view.close()
            report = await reindex(hearth, collections)
    if as_json:
        print_json({key: value for key, value in report.items() if key != "event"})
    else:
        show_report(report)
    return 0


async def reindex(hearth: DaemonClient, collections: tuple[str, ...]) -> DaemonEvent:
    """Reindex and show the progress on standard error; returns the report. Raises CliError with the reason."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[document]}"),
    )
    bars = Progress(*columns, console=make_console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    async with hearth.open_request("index", collections=list(collections)) as exchange:
        with bars:
            task = bars.add_task("Looking at documents", total=None, document="")
            async for event in exchange.read_events():
                if event["event"] == "report":
                    return event
                if event["event"] == "error":
                    raise CliError(event["sentence"])
                bars.update(
                    task,
                    description=f"{WORDS[event['phase']]} documents",
                    completed=event["done"],
                    total=event["total"] or None,
                    document=printable(event["document"])[:50],
                )
    raise CliError("Hearth has ended before the index was up to date. What was done stays; run this again.")


def show_report(report: DaemonEvent) -> None:
    """The report for people; documents that failed come with their reason."""
    counts = ", ".join(f"{report[key]} {key}" for key in ("added", "changed", "removed", "unchanged"))
    make_console().print(f"{counts}, {len(report['failed'])} failed ({report['took_s']:.1f} s)")
    for failure in report["failed"]:
        print_errors(f"{failure['collection']}/{failure['document']}: {failure['reason']}")

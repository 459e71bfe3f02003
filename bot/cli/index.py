"""`hearth index`: brings the documents' index up to date."""

import sys
from typing import NoReturn

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bot.cli.daemon_client import Event, Hearth, reaching
from bot.cli.output import console, print_json, printable, tell
from bot.cli.runner import Failure, config_option, run
from bot.cli.startup_view import StartView
from bot.config.loading import Config

WORDS = {"scanning": "Looking at", "reading": "Reading", "embedding": "Embedding", "saving": "Saving"}


@click.command()
@click.argument("collections", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@config_option
def index(config: Config, collections: tuple[str, ...], as_json: bool) -> NoReturn:
    """Bring COLLECTIONS up to date with their folders, all of them unless named. Only what changed is read."""
    run(_index(config, collections, as_json))


async def _index(config: Config, collections: tuple[str, ...], as_json: bool) -> int:
    with StartView() as view:
        async with reaching(config, view, with_model=False) as hearth:
            view.end()
            report = await reindex(hearth, collections)
    if as_json:
        print_json({key: value for key, value in report.items() if key != "event"})
    else:
        show_report(report)
    return 0


async def reindex(hearth: Hearth, collections: tuple[str, ...]) -> Event:
    """Reindex and show the progress on standard error; the report. Raises Failure with the reason."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[document]}"),
    )
    bars = Progress(*columns, console=console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    async with hearth.request("index", collections=list(collections)) as exchange:
        with bars:
            task = bars.add_task("Looking at documents", total=None, document="")
            async for event in exchange.events():
                if event["event"] == "report":
                    return event
                if event["event"] == "error":
                    raise Failure(event["sentence"])
                bars.update(
                    task,
                    description=f"{WORDS[event['phase']]} documents",
                    completed=event["done"],
                    total=event["total"] or None,
                    document=printable(event["document"])[:50],
                )
    raise Failure("Hearth has ended before the index was up to date. What was done stays; run this again.")


def show_report(report: Event) -> None:
    """The report for people; documents that failed come with their reason."""
    counts = ", ".join(f"{report[key]} {key}" for key in ("added", "changed", "removed", "unchanged"))
    console().print(f"{counts}, {len(report['failed'])} failed ({report['took_s']:.1f} s)")
    for failure in report["failed"]:
        tell(f"{failure['collection']}/{failure['document']}: {failure['reason']}")

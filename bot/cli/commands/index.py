"""`hearth index`: brings the documents' index up to date."""

import asyncio
import sys
from typing import NoReturn

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bot.cli.daemon_client import DaemonClient, DaemonEvent, connect_or_host, retry_when_left
from bot.cli.runner import EXIT_FAILED, CliError, config_option, run_and_exit
from bot.cli.terminal.output import make_console, print_errors, print_json, printable
from bot.cli.terminal.startup_view import StartupView
from bot.config.schema import Config
from bot.core.index_report import left_out_lines
from knowledge.passages import LeftOut

WITHHELD = {
    "vanished": "{collection}: {documents} documents are missing, more than half, and stay in the index."
    " Is the folder empty, or a share away?",
    "unmounted": "{collection}: {documents} documents were on a share or disk that is not mounted,"
    " and stay in the index.",
    "unconfigured": "{collection}: this config does not name the collection; its {documents} documents stay"
    " in the index, and are not searched.",
}
CONFIRM = "If they are to go: hearth index --confirm-removals"
STOPPED = "Stopped. What was read so far stays in the index; `hearth index` goes on from there."
WORDS = {"scanning": "Looking at", "reading": "Reading", "embedding": "Embedding", "saving": "Saving"}


@click.command()
@click.argument("collections", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--confirm-removals", is_flag=True, help="Remove also what looks like lost by accident.")
@config_option
def index(config: Config, collections: tuple[str, ...], as_json: bool, confirm_removals: bool) -> NoReturn:
    """Bring COLLECTIONS up to date with their folders, all of them unless named. Only what changed is read.

    Exits with 1 when documents failed, or removals are to be confirmed.
    """
    run_and_exit(_index(config, collections, as_json, confirm_removals))


async def _index(config: Config, collections: tuple[str, ...], as_json: bool, confirm_removals: bool) -> int:
    try:
        report = await retry_when_left(lambda: _reindex_once(config, collections, confirm_removals))
    except asyncio.CancelledError:
        print_errors(STOPPED)
        raise
    if as_json:
        print_json({key: value for key, value in report.items() if key != "event"})
    else:
        show_report(report)
    return EXIT_FAILED if report["failed"] or report["withheld"] else 0


async def _reindex_once(config: Config, collections: tuple[str, ...], confirm_removals: bool) -> DaemonEvent:
    with StartupView() as view:
        async with connect_or_host(config, view, with_model=False) as hearth:
            view.close()
            return await reindex(hearth, collections, confirm_removals=confirm_removals)


async def reindex(hearth: DaemonClient, collections: tuple[str, ...], *, confirm_removals: bool = False) -> DaemonEvent:
    """Reindex and show the progress on standard error; returns the report. Raises CliError with the reason."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[document]}"),
    )
    bars = Progress(*columns, console=make_console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    request = {"collections": list(collections), "confirm_removals": confirm_removals}
    async with hearth.open_request("index", **request) as exchange:
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
    print_errors(*left_out_lines((LeftOut(**each) for each in report["left_out"]), "en"))
    for failure in report["failed"]:
        print_errors(f"{failure['collection']}/{failure['document']}: {failure['reason']}")
    for part in report["partly_read"]:
        print_errors(f"{part['collection']}/{part['document']}, read in part: {part['reason']}")
    for withheld in report["withheld"]:
        print_errors(WITHHELD[withheld["cause"]].format_map(withheld))
    if report["withheld"]:
        print_errors(CONFIRM)

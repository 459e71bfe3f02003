"""`hearth documents`: the files of the index, and what could not be read or was left out."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

import click
from rich.text import Text

from bot.cli.daemon_client import DaemonClient, DaemonEvent, connect_or_host, retry_when_left
from bot.cli.runner import CliError, config_option, run_and_exit
from bot.cli.terminal.output import make_console, print_json, printable
from bot.cli.terminal.startup_view import StartupView
from bot.config.schema import Config
from bot.core.index_report import left_out_lines
from knowledge.passages import LeftOut

NOTHING = "Nothing is indexed yet: `hearth index` does it."
NOTHING_FAILED = "Every file of the index was read as a whole."

FileFields = Mapping[str, Any]


@click.command()
@click.argument("collections", nargs=-1)
@click.option("--failed", is_flag=True, help="Only files that could not be read, or only in part.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_option
def documents(config: Config, collections: tuple[str, ...], failed: bool, as_json: bool) -> NoReturn:
    """List the files of COLLECTIONS, of all unless named: how many passages each has, when it was read, what failed."""
    run_and_exit(_documents(config, collections, failed, as_json))


async def _documents(config: Config, collections: tuple[str, ...], failed: bool, as_json: bool) -> int:
    files, left_out = await retry_when_left(lambda: _list_once(config, collections, failed))
    if as_json:
        print_json({"files": files, "left_out": left_out})
        return 0
    out = make_console()
    for file in files:
        out.print(Text(printable(file_line(file))), soft_wrap=True)
    if not files:
        out.print(NOTHING_FAILED if failed else NOTHING)
    for line in left_out_lines((LeftOut(**each) for each in left_out), "en"):
        out.print(Text(printable(line), style="dim"), soft_wrap=True)
    return 0


async def _list_once(
    config: Config, collections: tuple[str, ...], failed: bool
) -> tuple[list[FileFields], list[FileFields]]:
    files: list[FileFields] = []
    with StartupView() as view:
        async with connect_or_host(config, view, with_model=False) as hearth:
            view.close()
            async for event in _listing(hearth, collections, failed):
                if event["event"] == "listed":
                    return files, event["left_out"]
                files += event["files"]
    raise CliError("Hearth has ended before the list did. Try again.")


async def _listing(hearth: DaemonClient, collections: tuple[str, ...], failed: bool) -> AsyncIterator[DaemonEvent]:
    async with hearth.open_request("documents", collections=list(collections), failed=failed) as exchange:
        async for event in exchange.read_events():
            if event["event"] == "error":
                raise CliError(event["sentence"])
            yield event


def file_line(file: FileFields) -> str:
    """A file in one line: its name, its contents, and what is wrong with it."""
    contents = [f"{file['passages']} passages"]
    if file["documents"] != 1:
        contents.insert(0, f"{file['documents']} documents")
    if file["read_at"]:
        contents.append(f"read {file['read_at'][:16].replace('T', ' ')}")
    parts = [", ".join(contents)] if file["documents"] or not file["failure"] else []
    if file["failure"]:
        parts.append(f"not read: {file['failure']}")
    if file["unread"]:
        parts.append(f"read in part: {file['unread']}")
    return f"{file['collection']}/{file['path']}: {'; '.join(parts)}"

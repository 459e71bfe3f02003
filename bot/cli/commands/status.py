"""`hearth status`: whether Hearth runs, and what is indexed."""

from typing import Any, NoReturn

import click

from bot.cli.daemon_client import DaemonClient, is_reachable, read_state
from bot.cli.runner import EXIT_FAILED, config_option, run_and_exit
from bot.cli.terminal.output import make_console, print_json, printable
from bot.config.schema import Config
from bot.server.folder_lock import owner_pid, owner_work


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_option
def status(config: Config, as_json: bool) -> NoReturn:
    """Show whether Hearth runs, and what is indexed. Starts nothing; exits with 1 when no process runs."""
    run_and_exit(_status(config, as_json))


async def _status(config: Config, as_json: bool) -> int:
    pid = owner_pid(config.data_folder)
    collections = (await read_state(DaemonClient(config)))["collections"] if await is_reachable(config) else []
    fields: dict[str, Any] = {
        "data_folder": str(config.data_folder),
        "pid": pid,
        "work": owner_work(config.data_folder),
        "collections": list(collections),
    }
    if as_json:
        print_json(fields)
    else:
        make_console().print(printable("\n".join(_lines(fields))))
    return 0 if pid else EXIT_FAILED


def _lines(fields: dict[str, Any]) -> list[str]:
    folder = fields["data_folder"]
    if not fields["pid"]:
        return [f"Hearth does not run on {folder}. `hearth run` starts it; `hearth doctor` shows what is indexed."]
    work = f", {fields['work']}" if fields["work"] else ""
    lines = [f"Hearth runs on {folder} as process {fields['pid']}{work}."]
    for each in fields["collections"]:
        ready = "" if each["index_ready"] else "; its vectors are not all ready"
        counts = f"{each['documents']} documents, {each['passages']} passages, {each['failed']} unreadable"
        lines.append(f"{each['name']}: {counts}{ready}")
    return lines

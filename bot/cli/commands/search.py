"""`hearth search`: passages, and where each ranker put them; their scores with --json."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.text import Text

from bot.cli.daemon_client import DaemonClient, DaemonEvent, connect_or_host, read_state, retry_when_left
from bot.cli.runner import CliError, config_option, run_and_exit
from bot.cli.terminal.explanation_view import explain_hit
from bot.cli.terminal.output import format_place, make_console, print_json, printable
from bot.cli.terminal.startup_view import StartupView
from bot.config.schema import Config

_RANKERS = {"bm25": "by words", "vector": "by meaning", "reranker": "by the reranker"}
"""The rankers in plain words. Their scores mean nothing to people: they are for programs."""


@click.command()
@click.argument("question")
@click.option("--collection", "collections", multiple=True, help="Search this collection only; may be given again.")
@click.option("--limit", type=click.IntRange(1, 50), default=6, show_default=True, help="Passages to show.")
@click.option("--explain", is_flag=True, help="Show each part of every score, and what would have to change.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all hits.")
@config_option
def search(config: Config, as_json: bool, **request: Any) -> NoReturn:
    """Find the passages that bear on QUESTION, without asking the model."""
    run_and_exit(_search(config, as_json, {**request, "collections": list(request["collections"])}))


async def _search(config: Config, as_json: bool, request: Mapping[str, Any]) -> int:
    result, states = await retry_when_left(lambda: _search_once(config, request))
    if as_json:
        print_json({"question": request["question"], **{key: value for key, value in result.items() if key != "event"}})
    elif result["hits"]:
        show_result(result, make_console())
    else:
        make_console().print(nothing_found_sentence(config, states))
    return 0


async def _search_once(config: Config, request: Mapping[str, Any]) -> tuple[DaemonEvent, Sequence[Mapping[str, Any]]]:
    """The result, and if it is empty the state of the collections."""
    with StartupView() as view:
        async with connect_or_host(config, view, with_model=False) as hearth:
            view.close()
            result = await search_daemon(hearth, **request)
            return result, [] if result["hits"] else (await read_state(hearth))["collections"]


def nothing_found_sentence(config: Config, states: Sequence[Mapping[str, Any]]) -> str:
    """Why a search found nothing: no documents, none indexed yet, or none that fit."""
    if not config.knowledge.collections:
        return "No documents are configured: knowledge.collections is empty."
    if not any(state["documents"] for state in states):
        return "Nothing is indexed yet: `hearth index` does it."
    return "Nothing was found."


async def search_daemon(hearth: DaemonClient, **request: Any) -> DaemonEvent:
    """The result of a search. Raises CliError with the reason."""
    async with hearth.open_request("search", **request) as exchange:
        async for event in exchange.read_events():
            if event["event"] == "result":
                return event
            raise CliError(event["sentence"])
    raise CliError("Hearth has ended before the search did. Try again.")


def show_result(result: DaemonEvent, out: Console) -> None:
    """The hits for people."""
    if not result["supported"]:
        out.print(Text("Nothing found bears on the question; these come nearest.", style="yellow"))
    for number, hit in enumerate(result["hits"], start=1):
        ranks = ", ".join(f"{_RANKERS.get(ranker, ranker)} {rank}" for ranker, rank in hit["ranks"].items())
        out.print(Text(f"{number}. {printable(hit['collection'])}: {format_place(hit)}", style="bold"))
        out.print(Text(f"   place {ranks}", style="dim"))
        if "explanation" in hit:
            for line in explain_hit(hit, result["hits"][number - 2] if number > 1 else None):
                out.print(Text(f"   {printable(line)}", style="cyan"))
        out.print(Text(printable(hit["passage"])))
        out.print()
    out.print(Text(f"{result['took_s'] * 1000:.0f} ms", style="dim"))

"""`hearth search`: passages, their scores, and where each ranker put them."""

from typing import Any, NoReturn

import click
from rich.console import Console
from rich.text import Text

from bot.cli.daemon_client import Event, Hearth, reaching
from bot.cli.output import console, place, print_json, printable
from bot.cli.runner import Failure, config_option, run
from bot.cli.startup_view import StartView
from bot.config.loading import Config


@click.command()
@click.argument("question")
@click.option("--collection", "collections", multiple=True, help="Search this collection only; may be given again.")
@click.option("--limit", type=click.IntRange(1, 50), help="Passages to show; otherwise knowledge.passages.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with all hits.")
@config_option
def search(config: Config, question: str, collections: tuple[str, ...], limit: int | None, as_json: bool) -> NoReturn:
    """Find the passages that bear on QUESTION, without asking the model."""
    run(_search(config, question, collections, limit or config.knowledge.passages, as_json))


async def _search(config: Config, question: str, collections: tuple[str, ...], limit: int, as_json: bool) -> int:
    with StartView() as view:
        async with reaching(config, view, with_model=False) as hearth:
            view.end()
            result = await found(hearth, question=question, collections=list(collections), limit=limit)
    if as_json:
        print_json({"question": question, **{key: value for key, value in result.items() if key != "event"}})
    else:
        show_result(result, console())
    return 0


async def found(hearth: Hearth, **request: Any) -> Event:
    """What a search finds. Raises Failure with the reason."""
    async with hearth.request("search", **request) as exchange:
        async for event in exchange.events():
            if event["event"] == "result":
                return event
            raise Failure(event["sentence"])
    raise Failure("Hearth has ended before the search did. Try again.")


def show_result(result: Event, out: Console) -> None:
    """The hits for people."""
    if not result["hits"]:
        out.print("Nothing was found.")
    elif not result["supported"]:
        out.print(Text("Nothing found bears on the question; these come nearest.", style="yellow"))
    for number, hit in enumerate(result["hits"], start=1):
        ranks = ", ".join(f"{ranker} {rank}" for ranker, rank in hit["ranks"].items())
        out.print(Text(f"{number}. {printable(hit['collection'])}: {place(hit)}", style="bold"))
        out.print(Text(f"   score {hit['score']:.3f}; {ranks}", style="dim"))
        out.print(Text(printable(hit["passage"])))
        out.print()
    out.print(Text(f"{result['took_s'] * 1000:.0f} ms", style="dim"))

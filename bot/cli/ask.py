"""`hearth ask`: one question, its streamed answer and the sources."""

import sys
import uuid
from typing import Any, NoReturn

import click

from bot.cli.answer_view import NoView
from bot.cli.ask_stream import Asked, answer_to, show
from bot.cli.daemon_client import Event, Exchange, reaching
from bot.cli.output import console, print_json
from bot.cli.runner import FAILED, config_option, run
from bot.cli.startup_view import StartView
from bot.config.loading import Config


@click.command()
@click.argument("question")
@click.option("--conversation", help="Go on with a conversation; otherwise each question stands alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with answer, sources and timings.")
@config_option
def ask(config: Config, question: str, conversation: str | None, as_json: bool) -> NoReturn:
    """Ask one QUESTION (- reads it from standard input), print the answer and its sources."""
    text = sys.stdin.read() if question == "-" else question
    run(_ask(config, Asked(conversation or f"ask-{uuid.uuid4().hex[:12]}", text), as_json))


async def _ask(config: Config, asked: Asked, as_json: bool) -> int:
    with StartView() as view:
        async with reaching(config, view) as hearth, hearth.request("chat") as exchange:
            view.end()
            answered = await (_json if as_json else _shown)(asked, exchange)
    return 0 if answered else FAILED


async def _shown(asked: Asked, exchange: Exchange) -> bool:
    return await show(asked, exchange, exchange.events(), console())


async def _json(asked: Asked, exchange: Exchange) -> bool:
    event = await answer_to(asked, exchange, exchange.events(), NoView())
    print_json(_result(asked, event))
    return bool(event["event"] == "finished")


def _result(asked: Asked, event: Event) -> dict[str, Any]:
    """The answer as one object; without one, `error` is the sentence that came in its place."""
    return {
        "question": asked.text,
        "conversation": asked.conversation,
        "answer": event.get("text", ""),
        "note": event.get("note", ""),
        "error": event.get("sentence", ""),
        "sources": event.get("sources", []),
        "timings": event.get("timings", {}),
    }

"""`hearth ask`: one question, its streamed answer and the sources."""

import sys
import uuid
from typing import Any, NoReturn

import click

from bot.cli.ask_stream import ChatQuestion, ask_and_follow, ask_and_show
from bot.cli.daemon_client import DaemonEvent, DaemonRequest, connect_or_host, retry_when_left
from bot.cli.runner import EXIT_FAILED, config_option, run_and_exit
from bot.cli.terminal.answer_view import NoView
from bot.cli.terminal.output import make_console, print_json
from bot.cli.terminal.startup_view import StartupView
from bot.config.schema import Config


@click.command()
@click.argument("question")
@click.option("--conversation", help="Go on with a conversation; otherwise each question stands alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with answer, sources and timings.")
@config_option
def ask(config: Config, question: str, conversation: str | None, as_json: bool) -> NoReturn:
    """Ask one QUESTION (- reads it from standard input), print the answer and its sources."""
    text = sys.stdin.read() if question == "-" else question
    run_and_exit(_ask(config, ChatQuestion(conversation or f"ask-{uuid.uuid4().hex[:12]}", text), as_json))


async def _ask(config: Config, question: ChatQuestion, as_json: bool) -> int:
    return await retry_when_left(lambda: _ask_once(config, question, as_json))


async def _ask_once(config: Config, question: ChatQuestion, as_json: bool) -> int:
    with StartupView() as view:
        async with connect_or_host(config, view) as hearth, hearth.open_request("chat") as exchange:
            view.close()
            answered = await (_print_answer if as_json else _show_answer)(question, exchange)
    return 0 if answered else EXIT_FAILED


async def _show_answer(question: ChatQuestion, exchange: DaemonRequest) -> bool:
    return await ask_and_show(question, exchange, exchange.read_events(), make_console())


async def _print_answer(question: ChatQuestion, exchange: DaemonRequest) -> bool:
    event = await ask_and_follow(question, exchange, exchange.read_events(), NoView())
    print_json(_result(question, event))
    return bool(event["event"] == "finished")


def _result(question: ChatQuestion, event: DaemonEvent) -> dict[str, Any]:
    """The answer as one object; without one, `error` is the sentence that came in its place."""
    return {
        "question": question.text,
        "conversation": question.conversation,
        "answer": event.get("text", ""),
        "note": event.get("note", ""),
        "error": event.get("sentence", ""),
        "sources": event.get("sources", []),
        "timings": event.get("timings", {}),
    }

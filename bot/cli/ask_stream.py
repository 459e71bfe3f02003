"""Asks one question over a chat connection and follows its answer to the end."""

import getpass
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from bot.cli.daemon_client import CONNECTION_LOST, DaemonEvent, DaemonRequest, OwnerLeft
from bot.cli.runner import CliError
from bot.cli.terminal.answer_view import AnswerView, format_sources, format_timings, view_for
from bot.cli.terminal.output import printable


@dataclass(frozen=True)
class ChatQuestion:
    """A question, and the conversation it belongs to."""

    conversation: str
    text: str
    event_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def to_input_line(self) -> dict[str, Any]:
        """The question as an input line, with an admin's rights: only the data folder's owner reaches the socket."""
        return {
            "conversation": self.conversation,
            "author": user_name(),
            "text": self.text,
            "event_id": self.event_id,
            "admin": True,
        }


def user_name() -> str:
    """The name of the user that this process runs as; its number where it has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError since Python 3.13
        return f"user {os.getuid()}"


async def ask_and_follow(
    question: ChatQuestion, exchange: DaemonRequest, events: AsyncIterator[DaemonEvent], view: AnswerView
) -> DaemonEvent:
    """Ask, show the answer as it arrives, and return the event that ends it: finished, failed, ignored or error.

    Raises OwnerLeft when the connection ends before the question was received, CliError when it ends later.
    """
    is_received = False
    await exchange.send(**question.to_input_line())
    view.show_status("Waiting …")
    async for event in events:
        if event.get("event_id", question.event_id) != question.event_id:
            continue
        is_received = True
        match event["event"]:
            case "queued":
                view.show_status(_queue_status(event))
            case "typing":
                view.show_status("Reading and thinking …")
            case "text":
                view.show_text(event["text"])
            case "finished" | "failed":
                view.show_text(event["text"])
                return event
            case "ignored" | "error":
                return event
    raise CliError(CONNECTION_LOST) if is_received else OwnerLeft(CONNECTION_LOST)


async def ask_and_show(
    question: ChatQuestion, exchange: DaemonRequest, events: AsyncIterator[DaemonEvent], console: Console
) -> bool:
    """Ask and show the answer with its sources. False when the question was not answered."""
    view = view_for(console)
    try:
        event = await ask_and_follow(question, exchange, events, view)
    finally:
        view.close()
    show_ending(event, console)
    return bool(event["event"] == "finished")


def show_ending(event: DaemonEvent, console: Console) -> None:
    """Show note, sources and timings below an answer, or the sentence in place of one."""
    if event["event"] == "error":
        console.print(printable(event["sentence"]))
    if event["event"] == "ignored":
        console.print("Hearth does not answer this conversation now.")
    if event.get("note"):
        console.print(Text(printable(event["note"]), style="yellow"))
    if event.get("sources"):
        console.print(Text("\nSources", style="bold"))
        console.print(format_sources(event["sources"]), end="")
    if event.get("timings") and console.is_terminal:
        console.print(Text(format_timings(event["timings"]), style="dim"))


def _queue_status(event: DaemonEvent) -> str:
    wait = f", about {event['wait_s']:.0f} s to go" if event["wait_s"] else ""
    return f"Number {event['place']} in the queue{wait} …"

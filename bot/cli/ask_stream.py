"""Asks one question over a chat connection and follows its answer to the end."""

import getpass
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from bot.cli.answer_view import AnswerView, sources_text, timings_text, view_on
from bot.cli.daemon_client import Event, Exchange
from bot.cli.output import printable
from bot.cli.runner import Failure

LOST = "Hearth has ended before the answer did. Start it again: it goes on where it stopped."


@dataclass(frozen=True)
class Asked:
    """A question on its way."""

    conversation: str
    text: str
    event_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def line(self) -> dict[str, Any]:
        """The question as an input line; whoever sits at this terminal may do everything."""
        author = getpass.getuser()
        return {
            "conversation": self.conversation,
            "author": author,
            "text": self.text,
            "event_id": self.event_id,
            "admin": True,
        }


async def answer_to(asked: Asked, exchange: Exchange, events: AsyncIterator[Event], view: AnswerView) -> Event:
    """Ask, show what comes, and return the event that ends the answer: finished, failed, ignored or error.

    Raises Failure when the connection ends first.
    """
    await exchange.send(**asked.line())
    view.status("Waiting …")
    async for event in events:
        if event.get("event_id", asked.event_id) != asked.event_id:
            continue
        match event["event"]:
            case "queued":
                view.status(_place(event))
            case "typing":
                view.status("Reading and thinking …")
            case "text":
                view.text(event["text"])
            case "finished" | "failed":
                view.text(event["text"])
                return event
            case "ignored" | "error":
                return event
    raise Failure(LOST)


async def show(asked: Asked, exchange: Exchange, events: AsyncIterator[Event], console: Console) -> bool:
    """Ask and show the answer with its sources; whether it is one."""
    view = view_on(console)
    try:
        event = await answer_to(asked, exchange, events, view)
    finally:
        view.close()
    show_ending(event, console)
    return bool(event["event"] == "finished")


def show_ending(event: Event, console: Console) -> None:
    """What goes under an answer: note, sources, timings; or the sentence in its place."""
    if event["event"] == "error":
        console.print(printable(event["sentence"]))
    if event["event"] == "ignored":
        console.print("Hearth does not answer this conversation now.")
    if event.get("note"):
        console.print(Text(printable(event["note"]), style="yellow"))
    if event.get("sources"):
        console.print(Text("\nSources", style="bold"))
        console.print(sources_text(event["sources"]), end="")
    if event.get("timings") and console.is_terminal:
        console.print(Text(timings_text(event["timings"]), style="dim"))


def _place(event: Event) -> str:
    wait = f", about {event['wait_s']:.0f} s to go" if event["wait_s"] else ""
    return f"Number {event['place']} in the queue{wait} …"

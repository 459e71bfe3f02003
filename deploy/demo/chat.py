"""One chat of the demo on the screen: the person's messages, and Hearth's answer while it is edited in place."""

import asyncio
import time
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from bot.cli.terminal.answer_view import AnswerView, view_for
from deploy.demo.demo_instance import DemoFailed
from deploy.dev.homeserver import Shown
from deploy.dev.homeserver.client import Client

ANSWER_WITHIN_S = 300.0
POLL_S = 0.1
QUIET_S = 1.5
"""An answer is complete when Hearth has stopped typing and has changed nothing for so long ..."""
UNTYPED_QUIET_S = 8.0
"""... or for so long, if the person's client does not show typing notifications."""


class DemoChat:
    """A room with Hearth in it."""

    def __init__(self, person: Client, hearth: str, room: str, out: Console) -> None:
        self.person, self.hearth, self.room = person, hearth, room
        self._out = out

    def replies_to(self, event_id: str) -> list[Shown]:
        """Hearth's replies to a message, with edits applied."""
        everything = self.person.timeline.shown(self.room, self.hearth)
        return [shown for shown in everything if shown.reply_to == event_id]

    async def send_text(self, text: str, *, echo: bool = True) -> list[Shown]:
        """Send a message and show the answer as it is edited. With `echo` the message is printed first."""
        if echo:
            self._out.print(Text(f"> {text}", style="bold"))
        view, started_at = view_for(self._out), time.monotonic()
        view.show_status("Sending ...")
        try:
            event_id = await self.person.say(self.room, text)
            first_s = await self._show_until_done(event_id, view, started_at)
        finally:
            view.close()
        answer = self.replies_to(event_id)
        self._out.print(Text("".join(_figures(answer, first_s)), style="dim"))
        return answer

    async def _show_until_done(self, event_id: str, view: AnswerView, started_at: float) -> float:
        """Show an answer until it is complete; returns the seconds to its first words. Raises DemoFailed on timeout."""
        first_s, shown_text, changed_at = 0.0, "", started_at
        while not (shown_text and self._is_quiet(changed_at)):
            now = time.monotonic()
            answer_text = "\n\n".join(shown.body for shown in self.replies_to(event_id))
            if answer_text != shown_text:
                view.show_text(answer_text)
                first_s, shown_text, changed_at = first_s or now - started_at, answer_text, now
            elif not shown_text and self.hearth in self.person.typing.get(self.room, ()):
                view.show_status("Hearth is typing ...")
            if now - changed_at > ANSWER_WITHIN_S:
                raise DemoFailed(f"Nothing came from Hearth for {ANSWER_WITHIN_S:.0f} seconds.")
            await asyncio.sleep(POLL_S)
        return first_s

    def _is_quiet(self, changed_at: float) -> bool:
        typing = self.person.typing.get(self.room)
        quiet_s = UNTYPED_QUIET_S if typing is None else QUIET_S
        return self.hearth not in (typing or ()) and time.monotonic() - changed_at > quiet_s


def _figures(answer: list[Shown], first_s: float) -> Iterator[str]:
    edits = sum(len(shown.bodies) - 1 for shown in answer)
    yield f"({first_s:.1f} s to the first words; "
    yield "one message" if len(answer) == 1 else f"{len(answer)} messages"
    yield ", never edited)" if not edits else ", edited once)" if edits == 1 else f", edited {edits} times)"

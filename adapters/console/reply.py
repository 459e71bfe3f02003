"""An answer on the console: one message, posted once, then edited with the newest whole text at a bounded pace."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from adapters.console import events
from adapters.console.events import Event, Question
from bot.core.events import Closing, PostedPart
from bot.core.ports import RecordPart

Write = Callable[[Event], Awaitable[None]]


class ConsoleReply:
    """Fills `Reply`. A console takes a text of any length, so an answer is one part.

    In later attempts the first text is sent again under its first id, which a client that has it drops, and then
    edited: so it is shown once, whether or not the crash came between the first send and the journal.
    """

    def __init__(self, question: Question, write: Write, interval_s: float) -> None:
        self._question = question
        self._write = write
        self._interval_s = interval_s
        self._attempt = 1
        self._record: RecordPart | None = None
        self._edits = ""
        self._revision = 0
        self._text = ""
        self._shown = ""
        self._shown_at = float("-inf")
        self._typing = False
        self._showing: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
        """Begin; with `posted`, what follows edits that message."""
        self._attempt, self._record = attempt, record
        self._edits = posted[0].platform_id if posted else ""

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None:
        """Tell the place in the queue."""
        await self._write(self._question.event("queued", place=place, wait_s=wait_s, sentence=sentence))

    async def working(self) -> None:
        """Tell once that the answer is being made."""
        if not self._typing:
            self._typing = True
            await self._write(self._question.event("typing"))

    async def append(self, piece: str) -> None:
        """Add text; returns at once. Raises what showing earlier text ran into."""
        self._show_soon(self._text + piece)

    async def replace(self, text: str) -> None:
        """Put a whole new text in place; returns at once."""
        self._show_soon(text)

    async def finish(self, closing: Closing) -> None:
        """Show the closing text, then write `finished`."""
        await self._show_last(closing.text)
        await self._write(events.finished(self._question, self._attempt, closing))

    async def fail(self, sentence: str) -> None:
        """Show the sentence below the text so far, then write `failed`."""
        text = f"{self._text}\n\n{sentence}" if self._text else sentence
        await self._show_last(text)
        await self._write(events.failed(self._question, self._attempt, text, sentence))

    def _show_soon(self, text: str) -> None:
        self._text = text
        if self._showing is not None and self._showing.done():
            self._showing.result()
            self._showing = None
        if self._showing is None:
            self._showing = asyncio.create_task(self._keep_showing())

    async def _keep_showing(self) -> None:
        while self._shown != self._text and not self._ending.is_set():
            await self._pause()
            await self._show()

    async def _pause(self) -> None:
        rest = self._shown_at + self._interval_s - asyncio.get_running_loop().time()
        if rest > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._ending.wait()

    async def _show_last(self, text: str) -> None:
        self._ending.set()
        if self._showing is not None:
            # Not awaited itself: a cancelled finish must not cut a send from its place in the journal.
            await asyncio.wait([self._showing])
            self._showing.result()
        self._text = text
        if self._shown != text or self._untouched:
            await self._show()

    @property
    def _untouched(self) -> bool:
        """Whether text of an earlier attempt may still be shown."""
        return self._attempt > 1 and self._revision == 0

    async def _show(self) -> None:
        text = self._text
        is_new = not self._edits
        if is_new:
            await self._post(text)
        if self._attempt > 1 or not is_new:
            self._revision += 1
            await self._write(events.edited(self._question, self._edits, self._attempt, self._revision, text))
        self._shown = text
        self._shown_at = asyncio.get_running_loop().time()

    async def _post(self, text: str) -> None:
        await self._write(events.posted(self._question, text))
        self._edits = self._question.send_id
        if self._record is not None:
            await self._record(PostedPart(0, self._edits))

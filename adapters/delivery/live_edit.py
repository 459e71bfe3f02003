"""Brings the newest text of one answer to the platform: one request at a time, at the platform's pace, no queue."""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from adapters.delivery.rate_limit import Allowance, Overall
from adapters.delivery.sentence_ends import has_sentence

log = logging.getLogger(__name__)

# A first text without a whole sentence goes out after this time.
FIRST_TEXT_AFTER_S = 1.0
# How soon a reply that is behind others in line looks again whether they have gone.
BEHIND_OTHERS_S = 0.05


class Screen(Protocol):
    """What an adapter's reply gives to `Showing`: its messages on the platform, written one request at a time."""

    def due(self, text: str) -> Allowance | None:
        """The pace of the next request on the way to showing `text`; None when all of it is shown."""
        ...

    async def step(self, text: str, *, final: bool) -> None:
        """Make that next request. What it raises ends the showing and reaches the reply's next call; what may pass
        by itself is told to what paces it instead (`Pace.refused`), and the step comes again with the newest text.
        """
        ...


class Showing:
    """Shows the texts of one answer: always the newest, the last one for certain.

    Requests run in a task of their own, so neither a slow platform holds the caller nor a cancelled caller cuts one.
    """

    def __init__(
        self, screen: Screen, *, overall: Overall | None = None, first_after_s: float = FIRST_TEXT_AFTER_S
    ) -> None:
        self._screen = screen
        self._overall = overall
        self._first_after_s = first_after_s
        self._text = ""
        self._last: str | None = None
        self._begun = self._stopped = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._line: Allowance | None = None

    def show(self, text: str, *, at_once: bool = False) -> None:
        """Show this text when the pace allows; returns at once. Raises what an earlier text ran into.

        The very first text waits for a sentence, a second at most, unless it is to go `at_once`.
        """
        if self._task is not None and self._task.done():
            ended, self._task = self._task, None
            ended.result()
        self._text = text
        if not self._begun and (at_once or has_sentence(text)):
            self._hurry()
        if self._task is None:
            self._task = asyncio.create_task(self._stream())

    async def finish(self, text: str) -> None:
        """Show this text as the last one; returns when the platform has it. Raises what this text ran into, not what
        an earlier one did. When the caller is cancelled, the text is still brought to its end.
        """
        self._last = text
        self._hurry()
        self._task = task = asyncio.create_task(self._flush(self._task, text))
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.add_done_callback(_told)
            raise
        task.result()

    async def stop(self) -> None:
        """Show no more; returns when no request is under way. Raises nothing that a request ran into."""
        self._stopped = True
        self._hurry()
        if self._task is not None:
            await asyncio.wait([self._task])
            _told(self._task)

    def _hurry(self) -> None:
        self._begun = True
        self._wake.set()

    async def _stream(self) -> None:
        if not self._begun:
            await self._pause(self._first_after_s)
            self._begun = True
        try:
            while self._last is None and not self._stopped and (pace := self._screen.due(self._text)) is not None:
                if await self._turn(pace, final=False):
                    await self._screen.step(self._text, final=False)
        finally:
            self._stand_in(None)

    async def _flush(self, earlier: asyncio.Task[None] | None, text: str) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
            _told(earlier)
        while not self._stopped and (pace := self._screen.due(text)) is not None:
            if await self._turn(pace, final=True):
                await self._screen.step(text, final=True)

    async def _turn(self, pace: Allowance, *, final: bool) -> bool:
        """Wait for the pace, then for a slot; whether the request may go now. If not, all is to be looked at anew."""
        wait_s = pace.wait_s(_now(), final=final)
        # Answers that share a pace show their first texts in the order they came; a final text waits for none of them.
        if not final and not self._stand_in(pace):
            wait_s = max(wait_s, BEHIND_OTHERS_S)
        if wait_s > 0:
            await self._pause(wait_s)
            return False
        if self._overall is not None and not await self._pause(self._overall.claim(_now(), final=final)):
            return False
        if pace.wait_s(_now(), final=final) > 0:  # another reply used it meanwhile
            return False
        pace.sent(_now())
        self._stand_in(None)
        return True

    def _stand_in(self, line: Allowance | None) -> bool:
        """Stand in line for this pace and for no other; whether it is this answer's turn."""
        if self._line is not None and self._line is not line:
            self._line.leave(self)
        self._line = line
        return line is not None and line.stand(self)

    async def _pause(self, seconds: float) -> bool:
        """Sleep; False when something woke it before the time was over."""
        if seconds <= 0:
            return True
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        return not self._wake.is_set()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _told(task: asyncio.Task[None]) -> None:
    """Log what nobody will ask for any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("A text of an answer did not reach the platform: %s", error)

"""A reply whose platform cannot keep the core waiting."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from bot.core.errors import ReplyFailed
from bot.core.messages import Audience, FinalAnswer, PostedPart
from bot.core.ports import AudienceSource, RecordPart, Reply

RETURN_WITHIN_S = 5.0
"""Limit for the calls that return at once by the port's promise: during some of them the answer holds the engine."""


class BoundedReply:
    """Fills `Reply` and `AudienceSource` with another reply, within limits of time, past which it counts as refused.

    `finish`, `fail` and `discard` have no limit here: the core stops waiting for them itself and lets them go on.
    """

    def __init__(self, reply: Reply, open_within_s: float, return_within_s: float = RETURN_WITHIN_S) -> None:
        self._reply = reply
        self._audience_source = cast(AudienceSource, reply) if hasattr(reply, "current_audience") else None
        self._open_within_s = open_within_s
        self._return_within_s = return_within_s

    def current_audience(self) -> Audience | None:
        """The readers of the place now; None when they are not known."""
        return self._audience_source.current_audience() if self._audience_source is not None else None

    async def open(self, attempt: int, posted: Sequence[PostedPart], record: RecordPart) -> None:
        """Open the reply."""
        async with _limit("open the reply", self._open_within_s):
            await self._reply.open(attempt, posted, record)

    async def waiting(self, place: int, wait_s: float | None, sentence: str) -> None:
        """Show the position in the queue."""
        async with _limit("show the place in the queue", self._return_within_s):
            await self._reply.waiting(place, wait_s, sentence)

    async def working(self) -> None:
        """Show that the answer is in progress."""
        async with _limit("show that the answer is in progress", self._return_within_s):
            await self._reply.working()

    async def append(self, piece: str) -> None:
        """Append text."""
        async with _limit("take a piece of the answer", self._return_within_s):
            await self._reply.append(piece)

    async def replace(self, text: str) -> None:
        """Replace the text."""
        async with _limit("take a text", self._return_within_s):
            await self._reply.replace(text)

    async def finish(self, answer: FinalAnswer) -> None:
        """Show the final answer."""
        await self._reply.finish(answer)

    async def fail(self, sentence: str) -> None:
        """Show a sentence about the failure."""
        await self._reply.fail(sentence)

    async def discard(self) -> None:
        """Take back what was posted."""
        await self._reply.discard()


@asynccontextmanager
async def _limit(action: str, seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise ReplyFailed(f"The platform did not {action} within {seconds:g} s.") from error

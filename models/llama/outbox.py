"""The way of an answer from the `llama` thread to the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from models.engine import Usage


class Outbox:
    """Filled by the `llama` thread, read by one task. A reader that is late gets everything at once, as one piece."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._pieces: deque[str] = deque()
        self._end: Usage | Exception | None = None
        self._told = False

    def put(self, piece: str) -> None:
        """Add text."""
        self._pieces.append(piece)
        if not self._told:
            self._told = True
            self._wake()

    def finish(self, end: Usage | Exception) -> None:
        """The last item: what the answer cost, or why there is none. Only the first call counts."""
        if self._end is None:
            self._end = end
            self._wake()

    def _wake(self) -> None:
        # The loop may be gone when the program ends in the middle of an answer.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ready.set)

    async def items(self) -> AsyncGenerator[str | Usage, None]:
        """Pieces of text as they come, then the usage. Raises what the answer failed with."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            # In this order: what comes after `_told` is down wakes again, what came before is taken now.
            self._told = False
            end = self._end
            if piece := self._take():
                yield piece
            if isinstance(end, Usage):
                yield end
                return
            if end is not None:
                raise end

    def _take(self) -> str:
        taken: list[str] = []
        while self._pieces:
            taken.append(self._pieces.popleft())
        return "".join(taken)

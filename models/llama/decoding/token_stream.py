"""The way of an answer from the `llama` thread to the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable

from models.engine import Usage


class TokenStream:
    """Filled by the `llama` thread, read by one task. A reader that is late gets everything at once, as one piece."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._pieces: deque[str] = deque()
        self._end: Usage | Exception | None = None
        self._notified = False

    def put_text(self, piece: str) -> None:
        """Add text; the reader learns of it by `notify_readers`."""
        self._pieces.append(piece)

    def set_end(self, end: Usage | Exception) -> None:
        """The last item: what the answer cost, or why there is none. Only the first call counts."""
        if self._end is None:
            self._end = end
            self._wake()

    def _wake(self) -> None:
        _call_soon(self._loop, self._ready.set)

    async def items(self) -> AsyncGenerator[str | Usage, None]:
        """Pieces of text as they come, then the usage. Raises what the answer failed with."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            # In this order: what comes after `_notified` is down wakes again, what came before is taken now.
            self._notified = False
            end = self._end
            if piece := self._drain():
                yield piece
            if isinstance(end, Usage):
                yield end
                return
            if end is not None:
                raise end

    @staticmethod
    def notify_readers(outboxes: Iterable["TokenStream"]) -> None:
        """Wake the readers of those that have new text, all at once: each wake-up by itself would hand the lock of the
        interpreter to the event loop while the other answers wait for their token.
        """
        untold = [each for each in outboxes if each._pieces and not each._notified]
        for each in untold:
            each._notified = True
        for loop in {each._loop for each in untold}:
            _call_soon(loop, _set_all, [each._ready for each in untold if each._loop is loop])

    def _drain(self) -> str:
        taken: list[str] = []
        while self._pieces:
            taken.append(self._pieces.popleft())
        return "".join(taken)


def _set_all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        event.set()


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    # The loop may be gone when the program ends in the middle of an answer.
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, *arguments)

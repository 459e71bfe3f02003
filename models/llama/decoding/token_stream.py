"""Stream of a reply's text from the inference thread to the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from itertools import groupby

from models.engine import StreamItem, ThinkingText, Usage
from models.tool_calls import ToolCallPiece

Piece = str | ThinkingText | ToolCallPiece


class TokenStream:
    """Filled by the inference thread, read by one task. A late reader gets pending text of one kind as one piece."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._pieces: deque[Piece] = deque()
        self._end: Usage | Exception | None = None
        self._notified = False

    def put_text(self, piece: Piece) -> None:
        """Add text or thinking; `notify_readers` wakes the reader."""
        self._pieces.append(piece)

    def set_end(self, end: Usage | Exception) -> None:
        """Set the last item: the usage, or the error that ended the reply. Only the first call has an effect."""
        if self._end is None:
            self._end = end
            self._wake()

    def _wake(self) -> None:
        _call_soon(self._loop, self._ready.set)

    async def items(self) -> AsyncGenerator[StreamItem, None]:
        """Pieces of thinking and of text as they are generated, then the usage. Raises the error of the reply."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            # The order matters: text added after `_notified` is cleared wakes again, earlier text is drained now.
            self._notified = False
            end = self._end
            for piece in self._drain():
                yield piece
            if isinstance(end, Usage):
                yield end
                return
            if end is not None:
                raise end

    @staticmethod
    def notify_readers(streams: Iterable["TokenStream"]) -> None:
        """Wake the readers of all streams with new text at once: separate wake-ups would each hand the interpreter lock
        to the event loop while the other replies wait for their token.
        """
        pending = [each for each in streams if each._pieces and not each._notified]
        for each in pending:
            each._notified = True
        for loop in {each._loop for each in pending}:
            _call_soon(loop, _set_all, [each._ready for each in pending if each._loop is loop])

    def _drain(self) -> Iterator[Piece]:
        drained: list[Piece] = []
        while self._pieces:
            drained.append(self._pieces.popleft())
        for kind, pieces in groupby(drained, key=type):
            if kind is ToolCallPiece:
                yield from pieces
            else:
                text = "".join(piece.text if isinstance(piece, ThinkingText) else str(piece) for piece in pieces)
                yield ThinkingText(text) if kind is ThinkingText else text


def _set_all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        event.set()


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: object) -> None:
    # The loop may be closed when the program ends during a reply.
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, *arguments)

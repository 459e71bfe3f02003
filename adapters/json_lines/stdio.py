"""Standard input and output as a channel, with a thread each: asyncio's pipes refuse regular files."""

import asyncio
import os
import queue
import select
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

from adapters.json_lines.channel import CHANNEL_CLOSED, CLOSE_TIMEOUT_S, LineSplitter, encode_event
from bot.core.errors import ReaderGone

READ_AHEAD_LINES = 256
"""Maximum of lines read ahead of handling; it bounds the memory when input is fast."""
UNREAD_EVENTS = 100
"""Events waiting to be written, above which those that may be missed are dropped."""


class StdioChannel:
    """Reads lines from one file descriptor and writes events to another; works with pipes, terminals and files.

    Opened and used on a running event loop. `close` flushes the output and ends the writing thread; the reading
    thread is a daemon, because a blocking read cannot be cancelled.
    """

    def __init__(self, input_fd: int, output_fd: int, line_bytes: int) -> None:
        self._input_fd = input_fd
        self._output_fd = output_fd
        self._splitter = LineSplitter(line_bytes)
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[tuple[bytes | None, bool]] = asyncio.Queue()
        self._read_ahead = threading.BoundedSemaphore(READ_AHEAD_LINES)
        self._outgoing: queue.SimpleQueue[tuple[bytes, asyncio.Future[None] | None] | None] = queue.SimpleQueue()
        self._reader_thread = threading.Thread(target=self._read_all, name="console-read", daemon=True)
        self._writer_thread = threading.Thread(target=self._write_all, name="console-write", daemon=True)
        self._writer_thread.start()

    async def read_lines(self) -> AsyncIterator[bytes | None]:
        """Input lines until the end of the input."""
        self._reader_thread.start()
        while True:
            line, more = await self._lines.get()
            if not more:
                return
            self._read_ahead.release()
            yield line

    async def write_event(self, event: Mapping[str, Any]) -> None:
        """Write one event, in the order of the calls."""
        written: asyncio.Future[None] = self._loop.create_future()
        self._outgoing.put((encode_event(event), written))
        try:
            await written
        except OSError as error:
            raise ReaderGone(CHANNEL_CLOSED) from error

    def post_event(self, event: Mapping[str, Any]) -> None:
        """Write one event unless many are waiting to be written."""
        if self._outgoing.qsize() < UNREAD_EVENTS:
            self._outgoing.put((encode_event(event), None))

    async def close(self) -> None:
        """Write what is still waiting, and end the writing thread; give up when it is not read for a while."""
        ended: asyncio.Future[None] = self._loop.create_future()
        self._outgoing.put((b"", ended))
        self._outgoing.put(None)
        done, _ = await asyncio.wait([ended], timeout=CLOSE_TIMEOUT_S)
        for future in done:
            future.exception()

    def _read_all(self) -> None:
        while data := self._read_some():
            if not self._queue_lines(self._splitter.feed_data(data)):
                return
        if self._queue_lines(self._splitter.feed_eof()):
            self._call_in_loop(self._lines.put_nowait, (None, False))

    def _read_some(self) -> bytes:
        while True:
            try:
                return os.read(self._input_fd, 65536)
            except BlockingIOError:
                # Another process may have left the shared terminal in non-blocking mode.
                select.select([self._input_fd], [], [])
            except OSError:
                return b""

    def _queue_lines(self, lines: list[bytes | None]) -> bool:
        for line in lines:
            self._read_ahead.acquire()
            if not self._call_in_loop(self._lines.put_nowait, (line, True)):
                return False
        return True

    def _write_all(self) -> None:
        broken: OSError | None = None
        while (item := self._outgoing.get()) is not None:
            data, written = item
            broken = broken or self._write_bytes(data)
            if written is not None:
                self._call_in_loop(_resolve_future, written, broken)

    def _write_bytes(self, data: bytes) -> OSError | None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._output_fd, rest) :]
            except BlockingIOError:
                select.select([], [self._output_fd], [])
            except OSError as error:
                return error
        return None

    def _call_in_loop(self, function: Any, *arguments: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # The loop is closed: there is no task left to wait for this.
            return False
        return True


def _resolve_future(written: asyncio.Future[None], broken: OSError | None) -> None:
    if written.done():
        return
    if broken is None:
        written.set_result(None)
    else:
        written.set_exception(broken)

"""Channel that carries input lines one way and JSON events the other; here over an asyncio stream."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from bot.core.errors import ReaderGone

CHANNEL_CLOSED = "The console's answers cannot be delivered: the other end has closed."
CHANNEL_UNREAD = "The console's answers cannot be delivered: the other end has not read for {seconds:g} s."
READ_WITHIN_S = 60.0
"""Time for the other end to read enough that one more event fits; then it counts as gone."""
CLOSE_TIMEOUT_S = 5.0
UNREAD_BYTES = 65_536
"""Bytes waiting for the other end, above which events that may be missed are dropped."""


class LineChannel(Protocol):
    """One client: its lines come in, events go out to it."""

    def read_lines(self) -> AsyncIterator[bytes | None]:
        """Input lines without their line ends; None stands for a line over the limit. Ends with the input."""
        ...

    async def write_event(self, event: Mapping[str, Any]) -> None:
        """Write one event. Returns when the system has all of it; raises ReaderGone when the other end has closed."""
        ...

    def post_event(self, event: Mapping[str, Any]) -> None:
        """Write one event that may be missed, and return at once; it is dropped while the other end reads too little.
        Raises ReaderGone when the other end has closed.
        """
        ...


def bad_line_event(number: int, reason: object) -> Mapping[str, Any]:
    """The event that says an input line was refused and had no other effect."""
    return {"event": "error", "line": number, "sentence": f"Line {number}: {reason}."}


def encode_event(event: Mapping[str, Any]) -> bytes:
    """Encode an event as a line of readable JSON: only characters that UTF-8 cannot encode are escaped."""
    line = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return line.encode("utf-8", errors="backslashreplace") + b"\n"


class LineSplitter:
    """Splits a byte stream into lines; a line over `limit` bytes becomes one None."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed_data(self, data: bytes) -> list[bytes | None]:
        """The lines that end in `data`."""
        head, *rest = data.split(b"\n")
        self._add(head)
        lines = []
        for part in rest:
            lines.append(self._take_line())
            self._add(part)
        return lines

    def feed_eof(self) -> list[bytes | None]:
        """The last line, when the input ends without a line end."""
        return [self._take_line()] if self._size else []

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _take_line(self) -> bytes | None:
        line = None if self._size > self._limit else b"".join(self._parts)
        self._parts, self._size = [], 0
        return line


class StreamChannel:
    """Channel over an asyncio stream. `read_lines` may be called again, and continues where the last caller stopped."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        line_bytes: int,
        read_within_s: float = READ_WITHIN_S,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._read_within_s = read_within_s
        self._splitter = LineSplitter(line_bytes)
        self._split_lines: deque[bytes | None] = deque()

    async def read_lines(self) -> AsyncGenerator[bytes | None, None]:
        """Input lines until the other end closes its sending side or goes away."""
        while True:
            while self._split_lines:
                yield self._split_lines.popleft()
            data = await self._read()
            self._split_lines.extend(self._splitter.feed_data(data) if data else self._splitter.feed_eof())
            if not (data or self._split_lines):
                return

    async def write_event(self, event: Mapping[str, Any]) -> None:
        """Write one event; waits for a slow reader, and gives it up after a while."""
        await self.write_line(encode_event(event))

    def post_event(self, event: Mapping[str, Any]) -> None:
        """Write one event unless many bytes are waiting for the reader."""
        self._check_open()
        if self._writer.transport.get_write_buffer_size() < UNREAD_BYTES:
            self._writer.write(encode_event(event))

    async def write_line(self, line: bytes) -> None:
        """Write a line unchanged, its line end included."""
        self._check_open()
        try:
            async with asyncio.timeout(self._read_within_s):
                self._writer.write(line)
                await self._writer.drain()
        except ConnectionError as error:
            raise ReaderGone(CHANNEL_CLOSED) from error
        except TimeoutError as error:
            self._writer.transport.abort()
            raise ReaderGone(CHANNEL_UNREAD.format(seconds=self._read_within_s)) from error

    def write_eof(self) -> None:
        """Close the sending side; reading continues."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()

    async def close(self) -> None:
        """Close both directions; what the other end has not read after a while is lost."""
        self._writer.close()
        with suppress(ConnectionError):
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._writer.wait_closed()
            except TimeoutError:
                self._writer.transport.abort()

    def _check_open(self) -> None:
        if self._writer.is_closing():
            raise ReaderGone(CHANNEL_CLOSED)

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(65536)
        except ConnectionError:
            return b""

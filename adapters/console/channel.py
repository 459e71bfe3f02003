"""What the console adapter talks through: lines in, events out; here over an asyncio stream."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from bot.core.errors import ReplyFailed

NOBODY_READS = "Nobody reads the console's answers any more: the other end has closed."


class Channel(Protocol):
    """One client of the console."""

    def lines(self) -> AsyncIterator[bytes | None]:
        """Input lines without their line ends; None stands for a line over the limit. Ends with the input."""
        ...

    async def write(self, event: Mapping[str, Any]) -> None:
        """Write one event. Returns when the operating system has all of it; raises ReplyFailed when nobody reads."""
        ...


def encode(event: Mapping[str, Any]) -> bytes:
    """One event as a line of JSON, readable for people: only what UTF-8 cannot carry is escaped."""
    line = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return line.encode("utf-8", errors="backslashreplace") + b"\n"


class LineCutter:
    """Cuts a byte stream into lines; a line over `limit` bytes comes out as None, and only once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes | None]:
        """The lines that end in `data`."""
        head, *rest = data.split(b"\n")
        self._add(head)
        lines = []
        for part in rest:
            lines.append(self._take())
            self._add(part)
        return lines

    def end(self) -> list[bytes | None]:
        """The last line, when the input ends without a line end."""
        return [self._take()] if self._size else []

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            self._parts.clear()
        elif part:
            self._parts.append(part)

    def _take(self) -> bytes | None:
        line = None if self._size > self._limit else b"".join(self._parts)
        self._parts, self._size = [], 0
        return line


class StreamChannel:
    """The other end of an asyncio stream. `lines` may be called again, and goes on where the last caller stopped."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line_bytes: int) -> None:
        self._reader = reader
        self._writer = writer
        self._cutter = LineCutter(line_bytes)
        self._cut: deque[bytes | None] = deque()

    async def lines(self) -> AsyncGenerator[bytes | None, None]:
        """Input lines until the other end closes its sending side or goes away."""
        while True:
            while self._cut:
                yield self._cut.popleft()
            data = await self._read()
            self._cut.extend(self._cutter.feed(data) if data else self._cutter.end())
            if not (data or self._cut):
                return

    async def write(self, event: Mapping[str, Any]) -> None:
        """Write one event; waits while the other end does not keep up."""
        await self.forward(encode(event))

    async def forward(self, line: bytes) -> None:
        """Write a line as it is, its line end included."""
        try:
            self._writer.write(line)
            await self._writer.drain()
        except ConnectionError as error:
            raise ReplyFailed(NOBODY_READS) from error

    def end(self) -> None:
        """Say that nothing more will be written; reading goes on."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()

    async def close(self) -> None:
        """Close both directions."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(65536)
        except ConnectionError:
            return b""

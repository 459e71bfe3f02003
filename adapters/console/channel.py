"""What the console adapter talks through: lines in, events out; here over an asyncio stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
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
    """A client on the other end of an asyncio stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line_bytes: int) -> None:
        self._reader = reader
        self._writer = writer
        self._line_bytes = line_bytes

    async def lines(self) -> AsyncIterator[bytes | None]:
        """Input lines until the client closes its sending side or goes away."""
        cutter = LineCutter(self._line_bytes)
        try:
            while data := await self._reader.read(65536):
                for line in cutter.feed(data):
                    yield line
        except ConnectionError:
            return
        for line in cutter.end():
            yield line

    async def write(self, event: Mapping[str, Any]) -> None:
        """Write one event; waits while the client does not keep up."""
        try:
            self._writer.write(encode(event))
            await self._writer.drain()
        except ConnectionError as error:
            raise ReplyFailed(NOBODY_READS) from error

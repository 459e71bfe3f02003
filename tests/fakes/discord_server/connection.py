"""One websocket of the bot: compression, an ordered way out, and the ways in which it can die."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from tests.fakes.discord_server.session import Session

# discord.py gives up on an unanswered close after 30 s.
_PATIENCE_S = 45.0
Compress = Callable[[bytes], bytes]


class Connection:
    """A socket. `silent`: nothing comes any more, and nobody says so; `deaf`: not even a close is answered."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self.session: Session | None = None
        self.silent = self.deaf = False
        self.heartbeats = 0
        self._request = request
        self._compress = _compressor(request.query.get("compress", ""))
        self._cut = asyncio.Event()
        self._outgoing: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()

    def send(self, payload: Mapping[str, Any]) -> None:
        """Put something in line to be written."""
        if not self.silent and not self.socket.closed:
            self._outgoing.put_nowait(payload)

    async def write(self) -> None:
        """Write what is in line, until cancelled."""
        while True:
            payload = await self._outgoing.get()
            try:
                text = json.dumps(payload)
                if not self.silent:
                    with suppress(ConnectionError):
                        await self._put(text)
            finally:
                self._outgoing.task_done()

    async def written(self) -> None:
        """Wait until nothing is in line."""
        await self._outgoing.join()

    def abandon(self) -> None:
        """Forget what is in line: the socket is gone."""
        while not self._outgoing.empty():
            self._outgoing.get_nowait()
            self._outgoing.task_done()

    async def close(self, code: int) -> None:
        """Close as Discord does, with a code."""
        await self.socket.close(code=code)

    def cut(self) -> None:
        """The line is cut: no close frame."""
        self._cut.set()
        if self._request.transport is not None:
            self._request.transport.abort()

    async def end(self) -> None:
        """Answer the client's close; a deaf one leaves it waiting, for as long as any client would."""
        if self.deaf:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._cut.wait(), _PATIENCE_S)
        else:
            await self.socket.close()

    async def _put(self, text: str) -> None:
        if self._compress is None:
            await self.socket.send_str(text)
        else:
            await self.socket.send_bytes(self._compress(text.encode()))


def _compressor(kind: str) -> Compress | None:
    """The transport compression the client asked for: one stream a connection, flushed after each message.

    discord.py asks for zlib where Hearth runs: for zstd only on Python 3.14, or with a package that is not installed.
    """
    if not kind:
        return None
    assert kind == "zlib-stream", f"the fake Discord does not speak {kind}"
    deflate = zlib.compressobj()
    return lambda data: deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)

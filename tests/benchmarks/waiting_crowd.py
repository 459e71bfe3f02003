"""The clients of the benchmark of waiting, in a process of their own: `FOLDER URL KEY`, then a line for each round."""

import asyncio
import base64
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.json_lines.channel import StreamChannel
from bot.server.local_socket import connect_to_daemon

PEOPLE = 200
LONG_QUESTIONS = 5
STREAMS = 4
LINE_BYTES = 10_000_000
RECEIVE_BYTES = 4096
"""Of a program's socket: a small one, as over a network."""


async def main(folder: str, url: str, key: str) -> None:
    """Run a round for each line of standard input."""
    loop = asyncio.get_running_loop()
    number = 0
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        number += 1
        wait_s = await _round(Crowd(folder, url, key, number), reads=json.loads(line)["reads"])
        print(json.dumps({"wait_s": wait_s}), flush=True)


class Crowd:
    """The clients of one round; `number` keeps their conversations apart from those of other rounds."""

    def __init__(self, folder: str, url: str, key: str, number: int) -> None:
        self._folder = folder
        self._address = urlsplit(url)
        self._key = key
        self.number = number

    @asynccontextmanager
    async def chatting(self) -> AsyncIterator[StreamChannel]:
        """A connection that chats."""
        channel = await connect_to_daemon(Path(self._folder), LINE_BYTES)
        assert channel is not None
        await channel.write_event({"command": "chat"})
        try:
            yield channel
        finally:
            channel._writer.transport.abort()

    def question(self, name: str, text: str, **more: Any) -> dict[str, Any]:
        """An input line in a conversation and by an author of this name."""
        return {"conversation": f"{name}-{self.number}", "author": name, "text": text, **more}

    @asynccontextmanager
    async def streaming(self) -> AsyncIterator[asyncio.StreamReader]:
        """A connection on which a long answer is streamed."""
        connecting = socket.socket()
        connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        connecting.setblocking(False)
        assert self._address.hostname is not None
        await asyncio.get_running_loop().sock_connect(connecting, (self._address.hostname, self._address.port))
        reader, writer = await asyncio.open_connection(sock=connecting, limit=RECEIVE_BYTES)
        asked = {"model": "scripted", "messages": [{"role": "user", "content": "huge"}], "stream": True}
        body = json.dumps(asked).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        try:
            yield reader
        finally:
            writer.transport.abort()


async def _round(crowd: Crowd, *, reads: bool) -> float:
    async with AsyncExitStack() as stack:
        reading: list[asyncio.Task[object]] = []
        greedy = await stack.enter_async_context(crowd.chatting())
        for number in range(LONG_QUESTIONS):
            await greedy.write_event(crowd.question(f"greedy-{number}", "long"))
        streams = [await stack.enter_async_context(crowd.streaming()) for _ in range(STREAMS)]
        with_file = await stack.enter_async_context(crowd.chatting())
        file = {"name": "quick.txt" if reads else "slow.txt", "data": base64.b64encode(b"A file.").decode()}
        await with_file.write_event(crowd.question("with-file", "What does it say?", attachments=[file]))
        if reads:
            reading = [asyncio.create_task(_read_all(stream)) for stream in streams]
            reading.append(asyncio.create_task(_read_until(greedy, "finished", LONG_QUESTIONS)))
            reading.append(asyncio.create_task(_read_until(with_file, "finished", 1)))
        wait_s = await _ordinary_wait_s(crowd)
        await asyncio.gather(*reading)
        if not reads:
            await with_file.write_event({"stop": f"with-file-{crowd.number}"})
            await _read_until(with_file, "stopped", 1)
        return wait_s


async def _ordinary_wait_s(crowd: Crowd) -> float:
    """Let 200 people ask, then one more; the seconds until that answer."""
    async with crowd.chatting() as people, crowd.chatting() as ordinary:
        for number in range(PEOPLE):
            await people.write_event(crowd.question(f"person-{number}", f"short question {number}"))
        # `received` may come behind other events, and all of them are read here.
        answers = asyncio.create_task(_read_until(people, "finished", PEOPLE, received := asyncio.Event()))
        await received.wait()
        began = time.perf_counter()
        await ordinary.write_event(crowd.question("ordinary", "An ordinary question?"))
        await _read_until(ordinary, "finished", 1)
        wait_s = time.perf_counter() - began
        await answers
        return wait_s


async def _read_until(channel: StreamChannel, kind: str, count: int, received: asyncio.Event | None = None) -> None:
    """Read until so many events of a kind have come; `received` is set when as many questions were received."""
    seen = taken = 0
    async for line in channel.read_lines():
        event = json.loads(line or b"{}")
        taken += event.get("event") == "received"
        seen += event.get("event") == kind
        if received is not None and taken == count:
            received.set()
        if event.get("event") in ("failed", "error"):
            raise ValueError(f"an answer failed: {event}")
        if seen == count:
            return
    raise ValueError("the connection ended early")


async def _read_all(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))

"""Clients that stop reading or leave at any point, while others get their answers in time."""

import asyncio
import json
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from adapters.console.adapter import ConsoleAdapter
from adapters.console.settings import ConsoleSettings
from bot.core.messages import ConversationId
from bot.core.queue import TooManyWaiting
from bot.server.local_socket import LocalServer, connect_to_daemon
from bot.server.socket_commands import SocketCommands
from tests.fakes.core import Core, running_core
from tests.fakes.engine import ScriptedEngine
from tests.fakes.openai_endpoint import KEYS, Serving, serving
from tests.fakes.until import until

ROUNDS = 200 if os.environ.get("HEARTH_SOAK") else 20
LINE_BYTES = 10_000_000
PIECE = "word " * 200
LONG = 300
"""Pieces of an answer: 300 kB, of which each edit on the console shows the whole; more than any buffer takes."""


@dataclass
class House:
    """A core of one place at the model, with a socket for local clients and an endpoint for programs."""

    core: Core
    folder: Path
    served: Serving

    async def ask(self, number: int) -> dict[str, Any]:
        """Ask a short question over the socket, read everything, and return the event that ends it."""
        channel = await connect_to_daemon(self.folder, LINE_BYTES)
        assert channel is not None
        await channel.write_event({"command": "chat"})
        await channel.write_event({"conversation": f"short-{number}", "author": f"ben-{number}", "text": "short"})
        try:
            async for line in channel.read_lines():
                event = json.loads(line or b"{}")
                if event.get("event") in ("finished", "failed"):
                    return dict(event)
        finally:
            await channel.close()
        raise AssertionError("the connection ended before the answer")


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    def script(prompt: Any) -> list[str]:
        return [PIECE] * LONG if "long" in prompt.tail else ["short answer"]

    async with running_core(folder, engine=ScriptedEngine(script), flood_answers_per_minute=100_000) as core:
        console = ConsoleAdapter(ConsoleSettings(edit_interval_s=0))
        running = asyncio.create_task(console.run(core.inbox))
        server = LocalServer(folder, LINE_BYTES)
        await server.listen(SocketCommands(console, core.library).handlers())
        async with serving(core) as served:
            yield House(core, folder, served)
        await server.stop()
        running.cancel()
        await core.inbox.close()
        await server.close()


@asynccontextmanager
async def console_client(at: House, name: str, read_bytes: int) -> AsyncIterator[None]:
    """A local client that asks for three long answers, reads so many bytes, and no more."""
    channel = await connect_to_daemon(at.folder, LINE_BYTES)
    assert channel is not None
    await channel.write_event({"command": "chat"})
    for number in range(3):
        await channel.write_event({"conversation": f"{name}-{number}", "author": name, "text": "long"})
    if read_bytes:
        async with asyncio.timeout(60):
            await channel._reader.readexactly(read_bytes)
    try:
        yield
    finally:
        channel._writer.transport.abort()


@asynccontextmanager
async def stream_client(at: House, name: str, read_bytes: int) -> AsyncIterator[None]:
    """A program that streams a long answer, reads so many bytes, and no more."""
    address = urlsplit(at.served.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
    asked = {"model": "scripted", "messages": [{"role": "user", "content": f"long {name}"}], "stream": True}
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEYS['phone']}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    if read_bytes:
        async with asyncio.timeout(60):
            await reader.readexactly(read_bytes)
    try:
        yield
    finally:
        writer.transport.abort()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ends of the tests not wait for readers that will not come."""
    monkeypatch.setattr("adapters.json_lines.channel.CLOSE_TIMEOUT_S", 0.05)


@pytest.mark.parametrize("client", [console_client, stream_client])
@pytest.mark.parametrize("read_bytes", [0, 1000])
async def test_a_client_that_never_reads_holds_no_place(
    tmp_path: Path, hasty: None, client: Any, read_bytes: int
) -> None:
    async with house(tmp_path) as at, client(at, "sleeper", read_bytes):
        async with asyncio.timeout(60):  # each limit on a reader is longer, or as long
            assert (await at.ask(0))["event"] == "finished"
            async with at.served.client().chat.completions.with_streaming_response.create(
                model="scripted", messages=[{"role": "user", "content": "short"}]
            ) as response:
                assert "short answer" in await response.text()


async def test_others_get_their_answers_whatever_clients_do(tmp_path: Path, hasty: None) -> None:
    chosen = random.Random(5)
    async with house(tmp_path) as at:
        for number in range(ROUNDS):
            await _one_round(at, chosen, number)


async def _one_round(at: House, chosen: random.Random, number: int) -> None:
    """Three clients stop reading somewhere; some leave before the others have their answers, some after."""
    open_clients: list[Any] = []
    asking: list[asyncio.Task[dict[str, Any]]] = []
    for turn in range(3):
        kind = chosen.choice([console_client, stream_client])
        client = kind(at, f"{number}-{turn}", chosen.choice([0, 1, 300, 5000, 20_000]))
        await client.__aenter__()
        open_clients.append(client)
        if chosen.random() < 0.7:
            asking.append(asyncio.create_task(at.ask(3 * number + turn)))
        if chosen.random() < 0.4:
            await open_clients.pop(chosen.randrange(len(open_clients))).__aexit__(None, None, None)
    async with asyncio.timeout(120):
        events = await asyncio.gather(*asking)
    assert [event["event"] for event in events] == ["finished"] * len(asking)
    for client in open_clients:
        await client.__aexit__(None, None, None)


READERS = 100
ANSWER_BYTES = 900_000
"""Of the answers that are never read: more than a connection with a small window holds, less than is kept unread."""


async def test_of_a_hundred_readers_that_never_read_each_loses_its_own_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.openai.event_stream.READ_WITHIN_S", 0.5)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_server", _create_server_that_buffers_little)
    engine = ScriptedEngine(lambda prompt: ["x" * ANSWER_BYTES] if prompt.tail == "long" else ["short answer"])
    async with AsyncExitStack() as opened:
        core = await opened.enter_async_context(running_core(tmp_path, engine=engine))
        served = await opened.enter_async_context(serving(core, open_requests_per_key=READERS))
        readers = [opened.enter_context(await _silent_reader(served)) for _ in range(READERS)]
        answer = await served.client().chat.completions.create(
            model="scripted", messages=[{"role": "user", "content": "short"}]
        )
        assert answer.choices[0].message.content == "short answer"
        await until(lambda: len(engine.prompts) == READERS + 1 and _has_nothing_open(core, "api:phone"))
        assert not any([await _was_answered(reader) for reader in readers])


def _has_nothing_open(core: Core, person: str) -> bool:
    """Whether all requests of a key have ended."""
    try:
        ticket = core.queue.take_ticket(person, ConversationId("probe"), limit=1, is_ready=False)
    except TooManyWaiting:
        return False
    core.queue.release_ticket(ticket)
    return True


_create_server = asyncio.BaseEventLoop.create_server


async def _create_server_that_buffers_little(*args: Any, **options: Any) -> asyncio.Server:
    """Listen with connections of which the system takes little at a time; it would take megabytes of an answer."""
    server = await _create_server(*args, **options)
    for listening in server.sockets:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return server


async def _silent_reader(served: Serving) -> socket.socket:
    """A connection with the smallest window that asks for a long answer and does not read it."""
    address = urlsplit(served.url)
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(reader, (address.hostname, address.port))
    asked = {"model": "scripted", "messages": [{"role": "user", "content": "long"}], "stream": True}
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEYS['phone']}\r\n"
    await loop.sock_sendall(reader, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return reader


async def _was_answered(reader: socket.socket) -> bool:
    """Whether the whole answer came before the connection was closed."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while data := await asyncio.get_running_loop().sock_recv(reader, 1 << 20):
            received += data
    return b"[DONE]" in received

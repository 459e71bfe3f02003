"""The socket in the data folder: who gets in, what the first line may be, and how it ends."""

import asyncio
import json
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.json_lines.channel import StreamChannel
from bot.server.local_socket import SOCKET_NAME, CommandHandler, LocalServer, SocketRequest, connect_to_daemon


async def greet(channel: StreamChannel, request: SocketRequest) -> None:
    await channel.write_event({"event": "greeting", "name": request.get("name")})


async def repeat(channel: StreamChannel, request: SocketRequest) -> None:
    async for line in channel.read_lines():
        await channel.write_event({"line": (line or b"").decode()})


@asynccontextmanager
async def serving(folder: Path, **commands: CommandHandler) -> AsyncIterator[LocalServer]:
    server = LocalServer(folder, 10_000)
    await server.listen(commands or {"greet": greet, "repeat": repeat})
    try:
        yield server
    finally:
        await server.stop()
        await server.close()


async def ask(folder: Path, *lines: bytes) -> list[dict[str, Any]]:
    channel = await connect_to_daemon(folder, 10_000)
    assert channel is not None
    for line in lines:
        await channel.write_event(json.loads(line)) if line.startswith(b"{") else channel._writer.write(line + b"\n")
    channel.write_eof()
    async with asyncio.timeout(60):
        events = [json.loads(line or b"null") async for line in channel.read_lines()]
    await channel.close()
    return events


async def test_the_first_line_names_the_command_and_the_rest_are_its_input(tmp_path: Path) -> None:
    async with serving(tmp_path):
        assert await ask(tmp_path, b'{"command": "greet", "name": "Ada"}') == [{"event": "greeting", "name": "Ada"}]
        lines = await ask(tmp_path, b'{"command": "repeat"}', b"one", b"two")
        assert [line["line"] for line in lines] == ["one", "two"]


@pytest.mark.parametrize("line", [b"hello", b'{"command": "dance"}', b"[]", b"[" * 5000, b'{"command": []}', b""])
async def test_any_other_first_line_gets_one_sentence(tmp_path: Path, line: bytes) -> None:
    async with serving(tmp_path):
        (event,) = await ask(tmp_path, line)
        assert event == {"event": "error", "sentence": "The first line must name a command: greet, repeat."}
        assert len(await ask(tmp_path, b'{"command": "greet"}')) == 1


async def test_only_the_owner_may_connect(tmp_path: Path) -> None:
    async with serving(tmp_path):
        assert stat.S_IMODE((tmp_path / SOCKET_NAME).stat().st_mode) == 0o600


async def test_nobody_listens_before_and_after(tmp_path: Path) -> None:
    assert await connect_to_daemon(tmp_path, 10_000) is None
    async with serving(tmp_path):
        pass
    assert await connect_to_daemon(tmp_path, 10_000) is None
    assert not (tmp_path / SOCKET_NAME).exists()


async def test_a_dead_processs_socket_is_replaced(tmp_path: Path) -> None:
    left = LocalServer(tmp_path, 10_000)
    await left.listen({})
    assert left._server is not None
    left._server.close()
    (tmp_path / SOCKET_NAME).touch()
    assert await connect_to_daemon(tmp_path, 10_000) is None
    async with serving(tmp_path):
        assert len(await ask(tmp_path, b'{"command": "greet"}')) == 1


async def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120) / "data"
    folder.mkdir(parents=True)
    async with serving(folder):
        assert len(await ask(folder, b'{"command": "greet"}')) == 1


async def test_many_clients_are_served_at_once(tmp_path: Path) -> None:
    meeting = asyncio.Barrier(20)

    async def meet(channel: StreamChannel, request: SocketRequest) -> None:
        await meeting.wait()
        await channel.write_event({"met": True})

    async with serving(tmp_path, meet=meet):
        results = await asyncio.gather(*(ask(tmp_path, b'{"command": "meet"}') for _ in range(20)))
    assert results == [[{"met": True}]] * 20


async def test_stopping_ends_commands_and_leaves_the_connection_open_until_closing(tmp_path: Path) -> None:
    started = asyncio.Event()
    channels: list[StreamChannel] = []

    async def linger(channel: StreamChannel, request: SocketRequest) -> None:
        channels.append(channel)
        started.set()
        await asyncio.Event().wait()

    async with serving(tmp_path, linger=linger) as server:
        client = await connect_to_daemon(tmp_path, 10_000)
        assert client is not None
        await client.write_event({"command": "linger"})
        await started.wait()
        await server.stop()
        await channels[0].write_event({"event": "last"})
        await server.close()
        assert [line async for line in client.read_lines()] == [b'{"event":"last"}']
        await client.close()


async def test_a_client_that_goes_away_harms_nobody(tmp_path: Path) -> None:
    async def flood(channel: StreamChannel, request: SocketRequest) -> None:
        while True:
            await channel.write_event({"text": "x" * 10_000})

    async with serving(tmp_path, flood=flood, greet=greet):
        client = await connect_to_daemon(tmp_path, 10_000)
        assert client is not None
        await client.write_event({"command": "flood"})
        await asyncio.sleep(0.05)
        await client.close()
        await asyncio.sleep(0.05)
        assert len(await ask(tmp_path, b'{"command": "greet"}')) == 1


async def failing(channel: StreamChannel, request: SocketRequest) -> None:
    raise re.error("bad character range z-a")


async def on_a_broken_disk(channel: StreamChannel, request: SocketRequest) -> None:
    raise OSError(5, "Input/output error")


async def cancelled(channel: StreamChannel, request: SocketRequest) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("command", "sentence", "is_logged"),
    [
        (failing, "Something went wrong inside Hearth. Its log says what.", True),
        (on_a_broken_disk, "[Errno 5] Input/output error", False),
        (cancelled, "Hearth stopped this: it is ending. Ask again when it runs.", False),
    ],
)
async def test_whatever_goes_wrong_the_client_reads_of_it_and_its_connection_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, command: CommandHandler, sentence: str, is_logged: bool
) -> None:
    async with serving(tmp_path, fail=command, greet=greet):
        assert await ask(tmp_path, b'{"command": "fail"}') == [{"event": "error", "sentence": sentence}]
        assert len(await ask(tmp_path, b'{"command": "greet"}')) == 1
    assert ("bad character range" in caplog.text) is is_logged

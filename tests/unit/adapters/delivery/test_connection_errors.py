"""Reasons for failed connections, from the errors that real connections raise."""

import asyncio
import errno
import socket
import ssl

import aiohttp
import pytest

from adapters.delivery.connection_errors import connection_reason


async def reason_of(address: str, timeout_s: float = 60.0) -> str:
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with pytest.raises((aiohttp.ClientError, TimeoutError, OSError)) as caught:
            await session.get(address)
    return connection_reason(caught.value, timeout_s)


async def test_a_port_on_which_nothing_listens() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        assert await reason_of(f"http://127.0.0.1:{reserved.getsockname()[1]}/") == "nothing listens there"


async def test_a_server_that_takes_a_connection_and_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert await reason_of(f"http://127.0.0.1:{port}/", 0.2) == "it did not answer within 0.2 s"


async def test_a_server_that_does_not_speak_tls() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert "is its address one with http://" in await reason_of(f"https://127.0.0.1:{port}/")


async def test_a_server_that_hangs_up() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await reason_of(f"http://127.0.0.1:{port}/") in ("the connection broke off", "it closed the connection")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name is not known"),
        (TimeoutError(), "it did not answer in time"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "this machine has no network that leads there"),
        (ssl.SSLError(1, "wrong version number"), "it does not speak TLS"),
        (ValueError("x"), "the connection broke off"),
    ],
)
def test_no_reason_has_the_name_of_a_class(error: Exception, reason: str) -> None:
    assert connection_reason(error).startswith(reason)


def test_the_error_that_a_library_hides_in_another_is_told() -> None:
    outer = RuntimeError("outer")
    outer.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert connection_reason(outer) == "nothing listens there"

"""What an answer without success means."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.matrix.api.http import DEFAULT_RETRY_AFTER_S, MAX_RETRY_AFTER_S, HttpClient, api_path, response_error
from adapters.matrix.homeserver import LoggedOut, RequestRefused
from deploy.dev.homeserver.server import free_port
from tests.fakes.until import until


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 520])
def test_what_may_pass_is_unsettled(status: int) -> None:
    assert type(response_error(status, {}, {"errcode": "M_UNKNOWN"})) is TransientFailure


@pytest.mark.parametrize(
    ("header", "body", "wait_s"),
    [
        ("7", {"retry_after_ms": 1000}, 7),
        (None, {"retry_after_ms": 1500}, 1.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", {"retry_after_ms": 200}, 0.2),
        (None, {}, DEFAULT_RETRY_AFTER_S),
        (None, None, DEFAULT_RETRY_AFTER_S),
        (None, {"retry_after_ms": "soon"}, DEFAULT_RETRY_AFTER_S),
        (None, {"retry_after_ms": -5}, DEFAULT_RETRY_AFTER_S),
        (None, {"retry_after_ms": float("nan")}, DEFAULT_RETRY_AFTER_S),
        (None, {"retry_after_ms": 10**400}, MAX_RETRY_AFTER_S),
        ("9" * 400, {}, MAX_RETRY_AFTER_S),
        (None, {"retry_after_ms": float("inf")}, MAX_RETRY_AFTER_S),
    ],
)
def test_how_long_to_wait(header: str | None, body: Any, wait_s: float) -> None:
    error = response_error(429, {"Retry-After": header} if header else {}, body)
    assert isinstance(error, RateLimited) and error.retry_after_s == wait_s


@pytest.mark.parametrize(("told", "soft"), [(True, True), (False, False), (None, False), ("yes", False)])
def test_a_token_that_is_not_taken_is_a_logout(told: Any, soft: bool) -> None:
    error = response_error(401, {}, {"errcode": "M_UNKNOWN_TOKEN", "soft_logout": told})
    assert isinstance(error, LoggedOut) and error.soft is soft


def test_a_demand_for_a_password_is_a_refusal_with_all_that_was_said() -> None:
    body = {"session": "S", "flows": [{"stages": ["m.login.password"]}]}
    error = response_error(401, {}, body)
    assert isinstance(error, RequestRefused) and (error.status, error.code, error.body) == (401, "", body)


@pytest.mark.parametrize("body", [None, [], "text", {"errcode": 7}, {"errcode": ["M_FORBIDDEN"]}])
def test_a_refusal_without_a_code_has_none(body: Any) -> None:
    error = response_error(403, {}, body)
    assert isinstance(error, RequestRefused) and error.code == ""


def test_parts_of_a_path_are_quoted() -> None:
    assert api_path("rooms", "!a/b:home", "event", "$x?y#z%") == "/rooms/%21a%2Fb%3Ahome/event/%24x%3Fy%23z%25"


async def failure(address: str, timeout_s: float = 30.0) -> str:
    """What is said of a request to an address where no homeserver answers."""
    http = HttpClient(address, timeout_s=timeout_s)
    try:
        with pytest.raises(TransientFailure) as raised:
            await http.request_json("GET", "/_matrix/client/versions")
    finally:
        await http.close()
    return str(raised.value)


async def test_why_a_connection_failed_is_said_in_words() -> None:
    assert (await failure(f"http://127.0.0.1:{free_port()}")).endswith("nothing listens there")

    closed: list[None] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            if await reader.read(1) == b"G":  # plain http: never answered
                await reader.read()
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()
            await writer.wait_closed()
        closed.append(None)

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        assert "it does not speak TLS" in await failure(f"https://{host}:{port}")
        assert "it did not answer" in await failure(f"http://{host}:{port}", timeout_s=0.2)
        await until(lambda: len(closed) == 2)

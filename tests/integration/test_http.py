"""The HTTP endpoints, called by a real client over loopback."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest

from bot.config.http_settings import HttpSettings
from bot.server.http import HttpServer, HttpUnavailable, host_name
from bot.server.metrics import Metrics


async def nothing_missing() -> Sequence[str]:
    return []


@asynccontextmanager
async def serving(
    readiness=nothing_missing, metrics: Metrics | None = None, **settings: object
) -> AsyncIterator[tuple[HttpServer, aiohttp.ClientSession]]:
    server = HttpServer(HttpSettings.model_validate({"port": 0, **settings}), metrics or Metrics(), readiness)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
            yield server, client
    finally:
        await server.close()


async def test_a_living_process_is_healthy() -> None:
    async with serving() as (_, client), client.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_readiness_tells_what_is_missing_until_nothing_is() -> None:
    missing = ["The model is loading."]

    async def readiness() -> Sequence[str]:
        return missing

    async with serving(readiness) as (_, client):
        async with client.get("/readyz") as response:
            assert response.status == 503
            assert await response.json() == {"ready": False, "reasons": ["The model is loading."]}
        missing.clear()
        async with client.get("/readyz") as response:
            assert (response.status, await response.json()) == (200, {"ready": True, "reasons": []})


async def test_metrics_come_in_the_text_format() -> None:
    metrics = Metrics()
    metrics.queue_changed(7, 2)
    async with serving(metrics=metrics) as (_, client), client.get("/metrics") as response:
        assert response.content_type == "text/plain"
        assert "hearth_queue_waiting 7.0" in await response.text()


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example:8097", ""])
async def test_a_foreign_name_is_refused_on_loopback(name: str) -> None:
    async with serving() as (_, client), client.get("/metrics", headers={"Host": name}) as response:
        assert response.status == 403


@pytest.mark.parametrize("name", ["localhost:1", "127.0.0.1", "[::1]:8097", "LOCALHOST", "hearth.lan"])
async def test_own_and_allowed_names_are_served(name: str) -> None:
    async with (
        serving(allowed_hosts=["hearth.lan"]) as (_, client),
        client.get("/healthz", headers={"Host": name}) as response,
    ):
        assert response.status == 200


async def test_on_an_open_address_any_name_is_served_unless_names_are_listed() -> None:
    async with (
        serving(host="0.0.0.0") as (_, client),
        client.get("/healthz", headers={"Host": "home.lan"}) as response,
    ):
        assert response.status == 200


async def test_a_taken_port_is_told_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = HttpServer(HttpSettings(port=port), Metrics(), nothing_missing)
        with pytest.raises(HttpUnavailable, match=rf"port {port}: .*in use.*http.port"):
            await server.start()
        await server.close()


async def test_a_closed_server_gives_its_port_back() -> None:
    async with serving() as (server, _):
        port = server.port
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_host_names_are_read_without_port_and_brackets() -> None:
    assert [host_name(host) for host in ("A.b:1", "[::1]:80", "x")] == ["a.b", "::1", "x"]

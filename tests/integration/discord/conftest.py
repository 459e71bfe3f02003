"""What the tests on Discord share: the simulated one checks every request, and the loopback one is furnished."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from simcord.http.client import FakeHTTPClient, FakeWebhookAdapter

from tests.discord_openapi import checked_requests
from tests.fakes.discord_server import discord_server
from tests.fakes.discord_wire import TOKEN_ENV, DiscordHarness


@pytest.fixture(autouse=True)
def requests_as_discord_describes_them() -> Iterator[None]:
    """The test fails where a request breaks a rule. The loopback fake checks its own."""
    with checked_requests(FakeHTTPClient, FakeWebhookAdapter):
        yield


@pytest.fixture
async def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordHarness]:
    """A loopback Discord for real discord.py."""
    async with discord_server() as server:
        monkeypatch.setenv(TOKEN_ENV, server.token)
        yield DiscordHarness(server, tmp_path)

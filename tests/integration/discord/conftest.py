"""What the tests on Discord share: the simulated one checks every request, and the loopback one is furnished."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from simcord.http.client import FakeHTTPClient, FakeWebhookAdapter

from adapters.storage import json_state_file
from tests.discord_openapi import checked_requests
from tests.fakes.discord_server import discord_server
from tests.fakes.discord_server.redirect import impatient_discord_py
from tests.fakes.discord_wire import TOKEN_ENV, DiscordHarness


@pytest.fixture(autouse=True)
def requests_as_discord_describes_them() -> Iterator[None]:
    """The test fails where a request breaks a rule. The loopback fake checks its own."""
    with checked_requests(FakeHTTPClient, FakeWebhookAdapter):
        yield


@pytest.fixture(autouse=True)
def nothing_waits_for_its_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Starts of bots are not what these tests measure, and the simulated Discord waits for every timer below 5 s."""
    monkeypatch.setattr(json_state_file, "SAVE_DELAY_S", 0.01)
    with impatient_discord_py():
        yield


@pytest.fixture
async def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordHarness]:
    """A loopback Discord for real discord.py."""
    async with discord_server() as server:
        monkeypatch.setenv(TOKEN_ENV, server.token)
        yield DiscordHarness(server, tmp_path)

"""The running fake Discord that these tests look into."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.discord_server import DiscordServer, discord_server


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with discord_server() as made:
        yield made

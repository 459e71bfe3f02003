import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import discord
import pytest

from tests.fakes.discord_server import DiscordServer, discord_server

pytestmark = pytest.mark.timeout(30)


class Recorder(discord.Client):
    """A bare client that keeps what it hears."""

    def __init__(self, *, contents: bool = True, **options: object) -> None:
        intents = discord.Intents(guilds=True, messages=True, message_content=contents)
        super().__init__(
            intents=intents,
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=None,
            guild_ready_timeout=0.05,
            **options,
        )
        self.heard: list[str] = []
        self.events: list[str] = []

    async def on_message(self, message: discord.Message) -> None:
        if message.author.id != self.user.id:
            self.heard.append(message.content)

    async def on_ready(self) -> None:
        self.events.append("ready")

    async def on_resumed(self) -> None:
        self.events.append("resumed")


@asynccontextmanager
async def running(server: DiscordServer, client: discord.Client) -> AsyncIterator[discord.Client]:
    """A client that is logged in and ready."""
    task = asyncio.create_task(client.start(server.token))
    try:
        await server.until(lambda: task.done() or client.is_ready())
        if task.done():
            task.result()
        yield client
    finally:
        await client.close()
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def server() -> AsyncIterator[DiscordServer]:
    async with discord_server() as made:
        yield made


async def test_a_client_logs_in_and_hears_what_people_say(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    ana = server.guild("Home").member("Ana")
    async with running(server, Recorder()) as client:
        await channel.say(ana, "<@bot> where is the drive?")
        await server.until(lambda: client.heard == [f"<@{server.bot.id}> where is the drive?"])


async def test_what_a_client_sends_and_edits_is_kept_with_all_its_versions(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Recorder()) as client:
        place = client.get_channel(channel.id)
        sent = await place.send("first", allowed_mentions=discord.AllowedMentions.none())
        await sent.edit(content="second")
    (message,) = channel.said_by_bot
    assert [version.content for version in message.versions] == ["first", "second"]
    assert message.id == sent.id

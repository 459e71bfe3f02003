"""How gateways die, and what discord.py makes of it."""

import asyncio

import discord
import pytest

from tests.fakes.discord_server import DiscordServer, Listener, Settings, discord_server, running
from tests.fakes.discord_server.guild import Guild
from tests.fakes.discord_server.intents import Intent


class Sharded(discord.AutoShardedClient):
    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without the 5 s that discord.py leaves between two shards."""


@pytest.fixture
def home(server: DiscordServer) -> Guild:
    return server.guild("Home")


async def test_without_the_switch_for_contents_the_gateway_closes_with_4014(server: DiscordServer) -> None:
    server.settings.privileged = Intent(0)
    with pytest.raises(discord.PrivilegedIntentsRequired):
        async with running(server, Listener()):
            pass
    async with running(server, Listener(contents=False)) as client:
        assert client.events == ["ready"]


async def test_a_wrong_token_is_refused_at_the_login(server: DiscordServer) -> None:
    async with Listener() as client:
        with pytest.raises(discord.LoginFailure):
            await client.start("another token")


async def test_a_token_taken_back_closes_the_gateway_with_4004(server: DiscordServer) -> None:
    client = Listener()
    await client.login(server.token)
    server.settings.token = "a new token"
    with pytest.raises(discord.ConnectionClosed) as closed:
        await client.connect()
    assert closed.value.code == 4004


async def test_a_dropped_socket_is_resumed_and_what_was_missed_is_told(server: DiscordServer, home: Guild) -> None:
    channel, ana = home.channel("general"), home.member("Ana")
    async with running(server, Listener()) as client:
        await channel.say(ana, "before")
        await server.until(lambda: client.heard == ["before"])
        server.gateway.drop()
        await channel.say(ana, "in the gap")
        await server.until(lambda: client.heard == ["before", "in the gap"])
        await server.until(lambda: client.events == ["ready", "resumed"])
    assert (len(server.gateway.identifies), len(server.gateway.resumes)) == (1, 1)


async def test_a_forgotten_session_begins_anew_and_what_was_missed_is_lost(server: DiscordServer, home: Guild) -> None:
    channel, ana = home.channel("general"), home.member("Ana")
    async with running(server, Listener()) as client:
        server.gateway.forget_sessions()
        server.gateway.drop()
        await channel.say(ana, "in the gap")
        await server.until(lambda: client.events == ["ready", "ready"])
        await channel.say(ana, "after")
        await server.until(lambda: client.heard == ["after"])


@pytest.mark.parametrize("resumable", [True, False])
async def test_an_invalidated_session_is_resumed_only_where_it_may(
    server: DiscordServer, home: Guild, resumable: bool
) -> None:
    async with running(server, Listener()) as client:
        server.gateway.invalidate(resumable=resumable)
        await server.until(lambda: client.events == ["ready", "resumed" if resumable else "ready"])


async def test_a_gateway_that_asks_to_reconnect_is_obeyed(server: DiscordServer) -> None:
    async with running(server, Listener()) as client:
        server.gateway.ask_to_reconnect()
        await server.until(lambda: client.events == ["ready", "resumed"])


async def test_a_close_with_a_code_for_reconnecting_is_resumed(server: DiscordServer) -> None:
    async with running(server, Listener()) as client:
        await server.gateway.close(4000)
        await server.until(lambda: client.events == ["ready", "resumed"])


async def test_a_gateway_that_answers_no_heartbeats_is_left_and_resumed() -> None:
    async with discord_server(Settings(heartbeat_interval_s=0.1)) as server:
        home = server.guild("Home")
        async with running(server, Listener(heartbeat_timeout=0.8)) as client:
            await server.until(lambda: server.gateway.heartbeats > 2)
            server.gateway.go_silent()
            await home.channel("general").say(home.member("Ana"), "hello?")
            await server.until(lambda: "resumed" in client.events and client.heard == ["hello?"])


async def test_a_deaf_gateway_keeps_a_client_waiting_that_wants_to_close(server: DiscordServer) -> None:
    async with running(server, Listener()) as client:
        server.gateway.go_silent(deaf=True)
        await client.ws.close()
        await asyncio.sleep(0.5)
        assert (client.events, server.gateway.resumes) == (["ready"], [])
        server.gateway.drop()
        await server.until(lambda: client.events == ["ready", "resumed"])


async def test_a_storm_of_503_at_the_gateway_passes(server: DiscordServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # discord.py waits a random time of up to 2 s, then up to 4 s.
    monkeypatch.setattr(discord.client.ExponentialBackoff, "delay", lambda pauses: 0.05)
    async with running(server, Listener()) as client:
        server.gateway.refuse(status=503, times=2)
        server.gateway.drop()
        await server.until(lambda: client.events == ["ready", "resumed"])
    assert len(server.gateway.attempts) == 4


async def test_many_guilds_need_shards_and_each_hears_its_own_guilds() -> None:
    async with discord_server(Settings(shards=2)) as server:
        with pytest.raises(discord.ConnectionClosed) as closed:
            async with running(server, Listener()):
                pass
        guilds = [server.guild(f"Home {number}") for number in range(6)]
        client = Sharded(intents=discord.Intents(guilds=True), guild_ready_timeout=0.05)
        async with running(server, client):
            assert {guild.id for guild in client.guilds} == {guild.id for guild in guilds}
            assert sorted(one["shard"] for one in server.gateway.identifies[1:]) == [[0, 2], [1, 2]]
    assert closed.value.code == 4011


async def test_when_the_day_s_starts_are_used_up_the_token_no_longer_opens_a_session() -> None:
    async with discord_server(Settings(sessions_left=1)) as server:
        async with running(server, Listener()):
            assert server.settings.sessions_left == 0
        with pytest.raises(discord.ConnectionClosed):
            async with running(server, Listener()):
                pass


async def test_members_are_told_to_a_client_that_asks_for_them() -> None:
    async with discord_server() as server:
        server.guild("Home").member("Ana", "Parents")
        client = discord.Client(intents=discord.Intents(guilds=True, members=True), guild_ready_timeout=0.05)
        async with running(server, client):
            (guild,) = client.guilds
            (ana,) = await guild.query_members("ana", cache=False, limit=5)
            assert [role.name for role in ana.roles] == ["@everyone", "Parents"]

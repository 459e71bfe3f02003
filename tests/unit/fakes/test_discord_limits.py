"""Rate limits and injected faults of the fake Discord, as discord.py meets them."""

import asyncio
import time

import aiohttp
import discord
import pytest

from tests.fakes.discord_server import DiscordServer, Listener, running
from tests.fakes.discord_server import refusals as discord_refusals
from tests.fakes.discord_server.clock import Clock
from tests.fakes.discord_server.limits import MESSAGE, MESSAGES, Limits


async def test_discord_py_waits_for_a_spent_bucket_instead_of_running_into_it(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    server.limits.set("POST", MESSAGES, limit=2, per_s=0.3)
    async with running(server, Listener()) as client:
        began = time.monotonic()
        for number in range(5):
            await client.get_channel(channel.id).send(str(number))
    assert time.monotonic() - began >= 0.5
    assert [message.content for message in channel.said_by_bot] == list("01234")
    assert server.requests.invalid == 0


async def test_the_headers_tell_of_the_bucket_and_a_refusal_of_the_wait(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    server.limits.set("POST", f"{MESSAGES.removesuffix('messages')}typing", limit=1, per_s=30)
    url = f"{discord.http.Route.BASE}/channels/{channel.id}/typing"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {server.token}"}) as session:
        async with session.post(url) as first:
            assert first.status == 204
            assert (first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]) == ("1", "0")
            assert 29 < float(first.headers["X-RateLimit-Reset-After"]) <= 30
            assert float(first.headers["X-RateLimit-Reset"]) - server.clock.now() == pytest.approx(30, abs=1)
        async with session.post(url) as second:
            told = await second.json()
            assert (second.status, second.headers["X-RateLimit-Scope"], told["global"]) == (429, "user", False)
            assert second.headers["X-RateLimit-Bucket"] == first.headers["X-RateLimit-Bucket"]
            assert 29 < told["retry_after"] <= 30 == int(second.headers["Retry-After"])


async def test_a_429_that_no_bucket_foresaw_is_waited_out(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Listener()) as client:
        sent = await client.get_channel(channel.id).send("one")
        server.faults.limit("PATCH", MESSAGE, retry_after_s=0.3, times=2)
        began = time.monotonic()
        await sent.edit(content="two")
        assert time.monotonic() - began >= 0.6
    assert [one.status for one in server.requests.of("PATCH", MESSAGE)] == [429, 429, 200]


async def test_429_on_every_edit_makes_discord_py_give_up_after_five_tries(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Listener()) as client:
        sent = await client.get_channel(channel.id).send("one")
        every = server.faults.limit("PATCH", MESSAGE, retry_after_s=0.01)
        with pytest.raises(discord.HTTPException):
            await sent.edit(content="two")
    assert every.hits == 5
    assert channel.said_by_bot[0].edits == []


async def test_the_global_limit_counts_all_routes_together(server: DiscordServer) -> None:
    home = server.guild("Home")
    channels = [home.channel(f"room {number}") for number in range(4)]
    async with running(server, Listener()) as client:
        server.limits.set_global(2, per_s=1.0)
        await asyncio.gather(*(client.get_channel(one.id).send("hello") for one in channels))
    assert [len(one.said_by_bot) for one in channels] == [1, 1, 1, 1]
    assert 1 <= server.requests.invalid <= 4


async def test_a_5xx_is_tried_again_and_the_message_comes_once(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Listener()) as client:
        server.faults.fail("POST", MESSAGES, status=500, times=1)
        await client.get_channel(channel.id).send("hello")
        server.faults.fail("POST", MESSAGES, status=503, for_s=60)
        with pytest.raises(discord.DiscordServerError):
            await client.get_channel(channel.id).send("hello?")
        server.clock.advance(61)
        await client.get_channel(channel.id).send("hello again")
    assert [message.content for message in channel.said_by_bot] == ["hello", "hello again"]


async def test_a_refusal_and_a_slow_answer_can_be_injected(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    async with running(server, Listener()) as client:
        place = client.get_channel(channel.id)
        server.faults.refuse(discord_refusals.missing_permissions(), "POST", MESSAGES, times=1)
        with pytest.raises(discord.Forbidden):
            await place.send("no")
        server.faults.delay(0.3, "POST", MESSAGES)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await place.send("slow")
        server.faults.stop()
        await place.send("quick")
    assert channel.said_by_bot[-1].content == "quick"


def test_a_window_begins_with_its_first_request_and_ends_by_the_clock() -> None:
    clock = Clock()
    limits = Limits(clock)
    limits.set("PATCH", MESSAGE, limit=2, per_s=5)
    assert [limits.judge("PATCH", MESSAGE, "1").refused for _ in range(3)] == [False, False, True]
    assert not limits.judge("PATCH", MESSAGE, "another channel").refused
    clock.advance(5.1)
    assert not limits.judge("PATCH", MESSAGE, "1").refused


def test_lifted_limits_refuse_nothing_and_say_nothing() -> None:
    limits = Limits(Clock())
    limits.lift()
    assert {limits.judge("PATCH", MESSAGE, "1").refused for _ in range(100)} == {False}
    assert limits.judge("PATCH", MESSAGE, "1").headers == {}

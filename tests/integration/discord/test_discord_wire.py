"""The adapter with the real discord.py over HTTP and websockets: what limits, faults and lost connections do to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.discord import watchdog
from adapters.discord.bot import DiscordAdapter
from adapters.discord.failures import DiscordUnusable
from adapters.discord.rates import Rates
from adapters.discord.settings import DiscordSettings
from bot.core.errors import ReplyFailed
from bot.core.events import Closing, Message
from bot.core.ports import Reply
from tests.fakes.discord_server import DiscordServer, Listener, discord_server, running
from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.intents import Intent
from tests.fakes.discord_server.limits import MESSAGE, MESSAGES
from tests.fakes.inbox import FakeInbox

pytestmark = pytest.mark.timeout(60)
TOKEN = "HEARTH_TEST_DISCORD_TOKEN"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordServer]:
    async with discord_server() as made:
        monkeypatch.setenv(TOKEN, made.token)
        yield made


def settings(**more: object) -> DiscordSettings:
    return DiscordSettings.model_validate({"token_env": TOKEN, **more})


@asynccontextmanager
async def living(
    server: DiscordServer, inbox: FakeInbox, folder: Path, **more: object
) -> AsyncIterator[DiscordAdapter]:
    """A process with the adapter, connected."""
    adapter = DiscordAdapter(settings().model_copy(update=more), folder)
    running = asyncio.create_task(adapter.run(inbox))
    connected = asyncio.create_task(server.connected())
    try:
        await asyncio.wait({running, connected}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        yield adapter
    finally:
        for task in (running, connected):
            task.cancel()
        await asyncio.gather(running, connected, return_exceptions=True)
        await adapter.close()


def streamed(pieces: int, every_s: float = 0.02) -> Callable[[Message, Reply], object]:
    async def script(message: Message, reply: Reply) -> None:
        text = ""
        for number in range(pieces):
            text += f"Sentence {number}. "
            await reply.append(f"Sentence {number}. ")
            await asyncio.sleep(every_s)
        await reply.finish(Closing(text))

    return script


def shown(channel: Channel) -> list[str]:
    return [message.content for message in channel.said_by_bot]


async def test_a_mention_is_answered_over_the_wire(server: DiscordServer, tmp_path: Path) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    inbox = FakeInbox()
    async with living(server, inbox, tmp_path):
        await channel.say(ana, "<@bot> where is the drive?")
        await server.until(lambda: shown(channel) == ["where is the drive?"])
        await inbox.idle()


async def test_a_stream_keeps_to_the_limit_that_the_headers_tell(server: DiscordServer, tmp_path: Path) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    server.limits.set("PATCH", MESSAGE, limit=5, per_s=5.0)
    inbox = FakeInbox(streamed(100, every_s=0.06))
    async with living(server, inbox, tmp_path):
        await channel.say(ana, "<@bot> tell me")
        await server.until(lambda: channel.said_by_bot)
        await inbox.idle()
    (message,) = channel.said_by_bot
    assert message.content.strip().endswith("Sentence 99.")
    assert len(message.versions) >= 3
    assert [request.status for request in server.requests if request.status == 429] == []


async def test_limits_are_learnt_inside_a_bot_that_others_have_built(server: DiscordServer) -> None:
    channel = server.guild("Home").channel("general")
    server.limits.set("PATCH", MESSAGE, limit=3, per_s=60.0)
    rates = Rates()
    async with running(server, Listener()) as client:
        rates.watch(client)
        rates.watch(client)
        sent = await client.get_partial_messageable(channel.id).send("one")
        await sent.edit(content="two")
        now = asyncio.get_running_loop().time()
        assert rates.of("edit", channel.id).wait_s(now) > 5
        assert rates.of("edit", channel.id + 1).wait_s(now) == 0
        rates.unwatch()
        server.limits.set("PATCH", MESSAGE, limit=1000, per_s=1.0)
        await sent.edit(content="three")
        assert rates.of("edit", channel.id).wait_s(now) > 5


async def test_a_refused_edit_is_followed_by_the_newest_text_not_by_a_queue(
    server: DiscordServer, tmp_path: Path
) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    server.faults.limit("PATCH", MESSAGE, retry_after_s=1.0, times=3)
    inbox = FakeInbox(streamed(100))
    async with living(server, inbox, tmp_path):
        await channel.say(ana, "<@bot> tell me")
        await server.until(lambda: channel.said_by_bot)
        await inbox.idle()
    (message,) = channel.said_by_bot
    assert message.content.strip().endswith("Sentence 99.")
    assert len(message.versions) <= 6


async def test_a_storm_of_500s_delays_an_answer_and_loses_nothing(
    server: DiscordServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    inbox = FakeInbox(streamed(20))
    async with living(server, inbox, tmp_path):
        server.faults.fail("POST", MESSAGES, status=503, times=2)
        server.faults.fail("PATCH", MESSAGE, status=503, times=1)
        await channel.say(ana, "<@bot> tell me")
        await server.until(lambda: channel.said_by_bot, timeout_s=30)
        await inbox.idle()
    (message,) = channel.said_by_bot
    assert message.content.strip().endswith("Sentence 19.")


async def test_a_send_whose_answer_is_lost_is_not_posted_twice(server: DiscordServer, tmp_path: Path) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    inbox = FakeInbox()
    async with living(server, inbox, tmp_path):
        server.faults.lose_answer("POST", MESSAGES)
        await channel.say(ana, "<@bot> where is the drive?")
        await server.until(lambda: inbox.parts.get(str(channel.messages[0].id)))
        await inbox.idle()
    assert shown(channel) == ["where is the drive?"]


async def test_after_a_crash_the_answer_is_found_in_the_channel_though_the_nonce_is_forgotten(
    server: DiscordServer, tmp_path: Path
) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    first = FakeInbox()
    async with living(server, first, tmp_path):
        await channel.say(ana, "<@bot> where is the drive?")
        await server.until(lambda: channel.said_by_bot)
        await first.idle()
    server.clock.advance(server.settings.nonce_memory_s + 1)
    second = FakeInbox()
    second.left = first.handled[:1]
    async with living(server, second, tmp_path):
        await server.until(lambda: second.parts)
        await second.idle()
    assert shown(channel) == ["where is the drive?"]


async def test_what_came_while_the_process_was_down_is_answered_once(server: DiscordServer, tmp_path: Path) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    inbox = FakeInbox()
    async with living(server, inbox, tmp_path):
        await channel.say(ana, "<@bot> one")
        await server.until(lambda: shown(channel) == ["one"])
        await inbox.idle()
    await channel.say(ana, "<@bot> two")
    async with living(server, inbox, tmp_path):
        await server.until(lambda: shown(channel) == ["one", "two"])
        await inbox.idle()
    assert [message.text for message in inbox.handled] == ["one", "two"]


async def test_a_session_that_cannot_be_resumed_leaves_no_gap(server: DiscordServer, tmp_path: Path) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    inbox = FakeInbox()
    async with living(server, inbox, tmp_path):
        await channel.say(ana, "<@bot> one")
        await server.until(lambda: shown(channel) == ["one"])
        server.gateway.forget_sessions()
        server.gateway.drop()
        await channel.say(ana, "<@bot> two")
        await server.until(lambda: shown(channel) == ["one", "two"], timeout_s=30)
        await inbox.idle()
    assert [message.text for message in inbox.handled] == ["one", "two"]


async def test_a_connection_that_dies_in_silence_is_made_anew(
    server: DiscordServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "LOOKED_EVERY_S", 0.1)
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    inbox = FakeInbox()
    async with living(server, inbox, tmp_path, silence_s=2.0):
        await channel.say(ana, "<@bot> one")
        await server.until(lambda: shown(channel) == ["one"])
        server.gateway.go_silent(deaf=True)
        await channel.say(ana, "<@bot> two")
        await server.until(lambda: shown(channel) == ["one", "two"], timeout_s=30)
        await inbox.idle()
    assert [message.text for message in inbox.handled] == ["one", "two"]


async def test_as_many_shards_are_opened_as_discord_asks_for(server: DiscordServer, tmp_path: Path) -> None:
    server.settings.shards = 2
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    inbox = FakeInbox()
    async with living(server, inbox, tmp_path):
        await server.connected(shards=2)
        await channel.say(ana, "<@bot> one")
        await server.until(lambda: shown(channel) == ["one"], timeout_s=30)
        await inbox.idle()


async def test_a_channel_that_is_gone_fails_the_answer_with_a_sentence(server: DiscordServer, tmp_path: Path) -> None:
    home = server.guild("Home")
    channel, ana = home.channel("general"), home.member("Ana")
    told: list[str] = []

    async def script(message: Message, reply: Reply) -> None:
        channel.delete()
        try:
            await reply.finish(Closing("Shelf Heron."))
        except ReplyFailed as error:
            told.append(str(error))

    inbox = FakeInbox(script)
    async with living(server, inbox, tmp_path):
        await channel.say(ana, "<@bot> where?")
        await server.until(lambda: told)
    assert told == ["The channel does not exist any more."]


async def test_a_token_that_discord_does_not_know_is_told_without_showing_it(
    server: DiscordServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(TOKEN, "not-the-token")
    adapter = DiscordAdapter(settings(), tmp_path)
    with pytest.raises(DiscordUnusable, match=rf"does not know the token in \${TOKEN}") as raised:
        await adapter.run(FakeInbox())
    await adapter.close()
    assert "not-the-token" not in caplog.text + str(raised.value)


async def test_an_intent_that_is_switched_off_is_told_with_what_to_click(server: DiscordServer, tmp_path: Path) -> None:
    server.settings.privileged = Intent(0)
    adapter = DiscordAdapter(settings(), tmp_path)
    with pytest.raises(DiscordUnusable, match="Message Content Intent"):
        await adapter.run(FakeInbox())
    await adapter.close()


async def test_a_token_that_is_withdrawn_ends_the_adapter_loudly(server: DiscordServer, tmp_path: Path) -> None:
    adapter = DiscordAdapter(settings(), tmp_path)
    running = asyncio.create_task(adapter.run(FakeInbox()))
    await server.connected()
    await server.gateway.close(4004)
    with pytest.raises(DiscordUnusable, match="does not know the token"):
        await asyncio.wait_for(running, 10)
    await adapter.close()


async def test_without_a_token_the_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(DiscordUnusable, match=f"{TOKEN} is to hold the bot's token"):
        await DiscordAdapter(settings(), tmp_path).run(FakeInbox())

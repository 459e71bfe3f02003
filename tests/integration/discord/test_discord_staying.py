"""How the adapter comes, stays and comes back: restarts, gaps, silent and refused connections, tokens and intents."""

import asyncio
import threading

import pytest
from discord.gateway import KeepAliveHandler

from adapters.discord.connection import watchdog
from adapters.discord.failures import DiscordUnusable
from adapters.discord.settings import Ids
from tests.fakes.discord_server.channel import Channel
from tests.fakes.discord_server.intents import Intent
from tests.fakes.discord_wire import TOKEN_ENV, DiscordHarness
from tests.fakes.inbox import FakeInbox


def texts(inbox: FakeInbox) -> list[str]:
    return [message.text for message in inbox.handled]


async def test_after_a_crash_the_answer_is_found_in_the_channel_though_the_nonce_is_forgotten(
    wire: DiscordHarness,
) -> None:
    first = FakeInbox()
    async with wire.living(first):
        await wire.ask("where is the drive?")
        await wire.until(lambda: wire.channel.said_by_bot)
        await first.wait_until_idle()
    wire.server.clock.advance(wire.server.settings.nonce_memory_s + 1)
    second = FakeInbox()
    second.left = first.handled[:1]
    async with wire.living(second):
        await wire.until(lambda: second.parts)
        await second.wait_until_idle()
    assert wire.shown == ["where is the drive?"]


async def test_what_came_while_the_process_was_down_is_answered_once(wire: DiscordHarness) -> None:
    inbox = FakeInbox()
    async with wire.living(inbox):
        await wire.ask("one")
        await wire.until(lambda: wire.shown == ["one"])
        await inbox.wait_until_idle()
    await wire.ask("two")
    async with wire.living(inbox):
        await wire.until(lambda: wire.shown == ["one", "two"])
        await inbox.wait_until_idle()
    assert texts(inbox) == ["one", "two"]


async def test_a_session_that_cannot_be_resumed_leaves_no_gap(wire: DiscordHarness) -> None:
    inbox = FakeInbox()
    async with wire.living(inbox):
        await wire.ask("one")
        await wire.until(lambda: wire.shown == ["one"])
        wire.server.gateway.forget_sessions()
        wire.server.gateway.drop()
        await wire.ask("two")
        await wire.until(lambda: wire.shown == ["one", "two"])
        await inbox.wait_until_idle()
    assert texts(inbox) == ["one", "two"]


async def test_a_connection_that_dies_in_silence_is_made_anew(
    wire: DiscordHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "CHECK_INTERVAL_S", 0.1)
    inbox = FakeInbox()
    async with wire.living(inbox, gateway_silence_timeout_s=2.0):
        await wire.ask("one")
        await wire.until(lambda: wire.shown == ["one"])
        wire.server.gateway.go_silent(deaf=True)
        await wire.ask("two")
        await wire.until(lambda: wire.shown == ["one", "two"])
        await inbox.wait_until_idle()
    assert texts(inbox) == ["one", "two"]


async def test_as_many_shards_are_opened_as_discord_asks_for(wire: DiscordHarness) -> None:
    wire.server.settings.shards = 2
    inbox = FakeInbox()
    async with wire.living(inbox):
        await wire.server.connected(shards=2)
        await wire.ask("one")
        await wire.until(lambda: wire.shown == ["one"])
        await inbox.wait_until_idle()


async def test_a_shard_with_a_new_session_answers_again_and_holds_no_other_shard_up(wire: DiscordHarness) -> None:
    wire.server.settings.shards = 2
    places: dict[int, Channel] = {}
    for number in range(50):  # the shard of a server follows from the millisecond of its creation
        if len(places) < 2:
            guild = wire.server.guild(f"Server {number}")
            places.setdefault((guild.id >> 22) % 2, guild.channel("hall"))
            wire.server.clock.advance(0.001)
    inbox = FakeInbox()
    async with wire.living(inbox):
        await wire.server.connected(shards=2)
        for shard, place in places.items():
            await place.say(wire.ana, f"<@bot> first on {shard}")
            await wire.until(lambda place=place: len(place.said_by_bot) == 1)
        for shard, place in places.items():
            identified = len(wire.server.gateway.identifies)
            wire.server.gateway.invalidate(shard=shard)
            await place.say(wire.ana, f"<@bot> missed on {shard}")
            await wire.until(lambda seen=identified: len(wire.server.gateway.identifies) > seen)
            await wire.server.connected(shards=2)
            for number, where in places.items():
                await where.say(wire.ana, f"<@bot> then on {number} after {shard}")
        await wire.server.direct(wire.ana).say(wire.ana, "in a direct message")
        await wire.until(lambda: wire.server.direct(wire.ana).said_by_bot)
        await wire.until(lambda: all(len(place.said_by_bot) == 4 for place in places.values()))
        await inbox.wait_until_idle()
    assert len(set(texts(inbox))) == 9  # the core drops the second of what was found twice


async def test_a_token_that_discord_does_not_know_is_told_without_showing_it(
    wire: DiscordHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(TOKEN_ENV, "not-the-token")
    adapter = wire.adapter()
    with pytest.raises(DiscordUnusable, match=f"does not know the token in {TOKEN_ENV}") as raised:
        await adapter.run(FakeInbox())
    await adapter.close()
    assert "not-the-token" not in caplog.text + str(raised.value)


async def test_an_intent_that_is_switched_off_is_told_with_what_to_click(wire: DiscordHarness) -> None:
    wire.server.settings.privileged = Intent(0)
    adapter = wire.adapter()
    with pytest.raises(DiscordUnusable, match="Message Content Intent"):
        await adapter.run(FakeInbox())
    await adapter.close()


async def test_a_token_that_is_withdrawn_ends_the_adapter_loudly(wire: DiscordHarness) -> None:
    adapter = wire.adapter()
    running = asyncio.create_task(adapter.run(FakeInbox()))
    await wire.server.connected()
    await wire.server.gateway.close(4004)
    with pytest.raises(DiscordUnusable, match="does not know the token"):
        await asyncio.wait_for(running, 10)
    await adapter.close()


async def test_without_a_token_the_variable_is_named(wire: DiscordHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_ENV, raising=False)
    with pytest.raises(DiscordUnusable, match=f"{TOKEN_ENV} is not set"):
        await wire.adapter().run(FakeInbox())


async def test_messages_of_a_gap_that_is_resumed_are_answered_once(wire: DiscordHarness) -> None:
    inbox = FakeInbox()
    async with wire.living(inbox):
        await wire.ask("one")
        await wire.until(lambda: wire.shown == ["one"])
        wire.server.gateway.drop()
        await wire.ask("two")
        await wire.until(lambda: wire.shown == ["one", "two"])
        assert wire.server.gateway.resumes
        await inbox.wait_until_idle()
    assert texts(inbox) == ["one", "two"]


@pytest.mark.parametrize("how", ["503", "no answer"])
async def test_a_gateway_that_refuses_for_a_minute_is_found_again_and_nothing_is_missed(
    wire: DiscordHarness, how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watchdog, "CHECK_INTERVAL_S", 0.1)
    inbox, gateway = FakeInbox(), wire.server.gateway
    async with wire.living(inbox, gateway_silence_timeout_s=1.5):
        await wire.ask("one")
        await wire.until(lambda: wire.shown == ["one"])
        gateway.refuse(status=None if how == "no answer" else 503, for_s=60.0)
        gateway.forget_sessions()
        gateway.drop()
        tried = len(gateway.attempts)
        await wire.ask("two")
        await wire.until(lambda: len(gateway.attempts) >= tried + 3)
        assert wire.shown == ["one"]
        wire.server.clock.advance(61)
        await wire.until(lambda: wire.shown == ["one", "two"])
        await wire.ask("three")
        await wire.until(lambda: wire.shown == ["one", "two", "three"])
        await inbox.wait_until_idle()
    # Connections that were given up while they were made are not kept alive.
    await wire.until(lambda: not [one for one in threading.enumerate() if isinstance(one, KeepAliveHandler)])
    assert texts(inbox) == ["one", "two", "three"]


async def test_roles_count_for_messages_that_were_missed_too(wire: DiscordHarness) -> None:
    home = wire.server.guild("Rook Lane")
    guest, boss = home.member("Guest", "Guests"), home.member("Boss", "Bosses")
    named = {"block": [home.role("Guests").id], "allow": []}
    more = {"roles": Ids.model_validate(named), "admin_roles": frozenset({home.role("Bosses").id})}
    inbox = FakeInbox()
    async with wire.living(inbox, **more):
        await wire.ask("one")
        await wire.until(lambda: wire.shown == ["one"])
    await wire.channel.say(guest, "<@bot> two")
    await wire.channel.say(boss, "<@bot> three")
    async with wire.living(inbox, **more):
        await wire.until(lambda: wire.shown == ["one", "three"])
        await inbox.wait_until_idle()
    assert [(message.text, message.author.is_admin) for message in inbox.handled] == [("one", False), ("three", True)]

"""How a bot of our own stays connected, and how it stops."""

import asyncio

import discord
import pytest

from adapters.discord.adapter import SingleShardBot, build_bot
from adapters.discord.connection import session
from adapters.discord.connection.session import stay_connected
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.settings import DiscordSettings


async def test_a_stop_that_comes_as_the_connection_breaks_still_stops() -> None:
    bot = build_bot(DiscordSettings(), DiscordRateLimits())
    assert isinstance(bot, SingleShardBot)
    listening = asyncio.Event()

    async def connect(*, reconnect: bool = True) -> None:
        """As the library does when its socket ends in the same moment: it takes the cancellation for a lost line."""
        try:
            listening.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    bot.connect = connect
    staying = asyncio.create_task(stay_connected(bot, silence_s=180))
    await listening.wait()
    staying.cancel()
    done, _ = await asyncio.wait({staying}, timeout=60)
    assert done
    assert staying.cancelled()


async def test_a_gateway_whose_address_cannot_be_asked_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOGIN_PAUSES_S", (0.0,))
    bot = build_bot(DiscordSettings(), DiscordRateLimits())
    tries, connected = list[int](), asyncio.Event()

    async def connect(*, reconnect: bool = True) -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise discord.GatewayNotFound
        connected.set()
        await asyncio.sleep(60)

    bot.connect = connect
    staying = asyncio.create_task(stay_connected(bot, silence_s=180))
    await asyncio.wait_for(connected.wait(), 10)
    staying.cancel()
    await asyncio.wait({staying}, timeout=60)
    assert staying.cancelled()
    assert len(tries) == 3


async def test_what_ends_a_connection_for_good_is_raised() -> None:
    bot = build_bot(DiscordSettings(), DiscordRateLimits())

    async def connect(*, reconnect: bool = True) -> None:
        raise discord.PrivilegedIntentsRequired(None)

    bot.connect = connect
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await stay_connected(bot, silence_s=180)

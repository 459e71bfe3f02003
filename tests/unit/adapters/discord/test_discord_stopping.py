"""How a bot of our own stays connected, and how it stops."""

import asyncio

from adapters.discord.bot import SmallBot, build_bot
from adapters.discord.connection import stay_connected
from adapters.discord.rates import Rates
from adapters.discord.settings import DiscordSettings


async def test_a_stop_that_comes_as_the_connection_breaks_still_stops() -> None:
    bot = build_bot(DiscordSettings(), Rates())
    assert isinstance(bot, SmallBot)
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
    done, _ = await asyncio.wait({staying}, timeout=10)
    assert done
    assert staying.cancelled()

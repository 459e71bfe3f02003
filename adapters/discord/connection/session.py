"""Gateway session of a standalone bot: as many shards as Discord recommends, and reconnection after silence."""

import asyncio
import logging
import threading
from itertools import chain, repeat

import discord
from discord.ext import commands
from discord.gateway import DiscordWebSocket, KeepAliveHandler

from adapters.delivery.connection_errors import connection_reason
from adapters.discord.connection.watchdog import Watchdog
from adapters.discord.failures import CONNECTION_ERRORS, failure_reason, is_transient

log = logging.getLogger(__name__)

RESUMABLE_CLOSE_CODE = 4000
"""A close code that keeps the session resumable: any but 1000 and 1001."""

CLOSE_TIMEOUT_S = 10.0
CANCEL_RETRY_S = 0.5
LOGIN_PAUSES_S = (5.0, 15.0, 60.0)
"""Pauses between login attempts, the last one repeated: the machine may start before its network does."""

UNREACHABLE_ERRORS = (discord.HTTPException, discord.GatewayNotFound, *CONNECTION_ERRORS)
"""Errors of an unreachable Discord; of HTTPException only the transient ones."""

AnyBot = commands.Bot | commands.AutoShardedBot


async def log_in(bot: AnyBot, token: str) -> int:
    """Log the bot in; returns the number of shards that Discord recommends. Retries while Discord is unreachable."""
    for pause_s in chain(LOGIN_PAUSES_S, repeat(LOGIN_PAUSES_S[-1])):
        try:
            await bot.login(token)
            return (await bot.http.get_bot_gateway())[0]
        except UNREACHABLE_ERRORS as error:
            await _wait_or_raise(error, pause_s)
    raise AssertionError  # the pauses never end


async def _wait_or_raise(error: Exception, pause_s: float) -> None:
    """Wait after a transient error; raise a permanent one."""
    if isinstance(error, discord.HTTPException) and not is_transient(error):
        raise error
    log.warning("Could not reach Discord, trying again in %.0f s: %s", pause_s, connection_reason(error))
    await asyncio.sleep(pause_s)


async def stay_connected(bot: AnyBot, silence_s: float) -> None:
    """Stay connected until cancelled, reconnecting after silence. Raises permanent errors of the connection."""
    watchdog = Watchdog(bot)

    async def on_socket_event_type(_kind: str) -> None:
        watchdog.record_event()

    bot.add_listener(on_socket_event_type)
    try:
        while True:
            try:
                await _connect_until_silent(bot, watchdog, silence_s)
                log.warning("Reconnecting to Discord, silent for %.0f s.", silence_s)
            except UNREACHABLE_ERRORS as error:  # a sharded bot requests the gateway's address without retries
                await _wait_or_raise(error, LOGIN_PAUSES_S[0])
            watchdog.record_event()
    finally:
        bot.remove_listener(on_socket_event_type)


async def _connect_until_silent(bot: AnyBot, watchdog: Watchdog, silence_s: float) -> None:
    """Connect until silence; also cuts the library's pauses between attempts, which grow to a quarter of an hour."""
    listening = asyncio.create_task(bot.connect())
    silence = asyncio.create_task(watchdog.wait_for_silence(silence_s))
    try:
        await asyncio.wait({listening, silence}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            listening.result()
            raise discord.ClientException("The connection to Discord was closed.")
    finally:
        silence.cancel()
        await _cancel_until_done(listening)
        await asyncio.gather(listening, silence, return_exceptions=True)
        await _close_connections(bot)


async def _cancel_until_done(listening: asyncio.Task[None]) -> None:
    """Cancel repeatedly until it has ended: the library loses a cancellation that arrives as the connection breaks."""
    while not listening.done():
        listening.cancel()
        await asyncio.wait({listening}, timeout=CANCEL_RETRY_S)


async def _close_connections(bot: AnyBot) -> None:
    """Close the gateway connections, but not the HTTP client."""
    shards = bot.shards.values() if isinstance(bot, commands.AutoShardedBot) else ()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            for shard in shards:
                await shard.disconnect()
            if not shards and bot.ws is not None:
                await bot.ws.close(code=RESUMABLE_CLOSE_CODE)
            for half_open in _half_open_connections(bot):
                await half_open.close(code=RESUMABLE_CLOSE_CODE)
    except CONNECTION_ERRORS as error:
        log.debug("Could not close the old connection: %s", failure_reason(error))


def _half_open_connections(bot: AnyBot) -> list[DiscordWebSocket]:
    """Connections cancelled while they were being opened: the library has dropped them, but their keep-alive threads
    still hold them.
    """
    threads = [thread for thread in threading.enumerate() if isinstance(thread, KeepAliveHandler)]
    return [thread.ws for thread in threads if thread.ws._connection is bot._connection]

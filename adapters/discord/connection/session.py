"""Keeps a bot of our own connected: as many shards as Discord asks for, and a new connection after silence."""

import asyncio
import logging
import threading
from itertools import chain, repeat

import discord
from discord.ext import commands
from discord.gateway import DiscordWebSocket, KeepAliveHandler

from adapters.discord.connection.watchdog import Watchdog
from adapters.discord.failures import CONNECTION_ERRORS, is_transient

log = logging.getLogger(__name__)

GONE_SILENT = 4000
"""The close code for a session that is to be taken up again or begun anew; any that is not 1000 or 1001 will do."""

CLOSE_TIMEOUT_S = 10.0
CANCEL_RETRY_S = 0.5
LOGIN_AGAIN_S = (5.0, 15.0, 60.0)
"""Pauses between tries to log in, the last one again and again: a house may start before its network does."""

UNREACHABLE_ERRORS = (discord.HTTPException, discord.GatewayNotFound, *CONNECTION_ERRORS)
"""What a Discord raises that cannot be asked now; of the first only some."""

AnyBot = commands.Bot | commands.AutoShardedBot


async def log_in(bot: AnyBot, token: str) -> int:
    """Make the bot known; how many shards Discord wants. Waits for a Discord that cannot be reached."""
    for pause_s in chain(LOGIN_AGAIN_S, repeat(LOGIN_AGAIN_S[-1])):
        try:
            await bot.login(token)
            return (await bot.http.get_bot_gateway())[0]
        except UNREACHABLE_ERRORS as error:
            await _wait_or_raise(error, pause_s)
    raise AssertionError  # the pauses never end


async def _wait_or_raise(error: Exception, pause_s: float) -> None:
    """Wait where Discord may be there again later; raises what stays as it is."""
    if isinstance(error, discord.HTTPException) and not is_transient(error):
        raise error
    log.warning("Discord cannot be reached, trying again in %.0f s: %s", pause_s, type(error).__name__)
    await asyncio.sleep(pause_s)


async def stay_connected(bot: AnyBot, silence_s: float) -> None:
    """Listen until cancelled; a connection that falls silent is made anew. Raises what ends a connection for good."""
    watchdog = Watchdog(bot)

    async def on_socket_event_type(_kind: str) -> None:
        watchdog.record_event()

    bot.add_listener(on_socket_event_type)
    try:
        while True:
            try:
                await _connect_until_silent(bot, watchdog, silence_s)
                log.warning("Discord has been silent for %.0f s: connecting anew.", silence_s)
            except UNREACHABLE_ERRORS as error:  # a sharded bot asks for the gateway's address, and does not ask twice
                await _wait_or_raise(error, LOGIN_AGAIN_S[0])
            watchdog.record_event()
    finally:
        bot.remove_listener(on_socket_event_type)


async def _connect_until_silent(bot: AnyBot, watchdog: Watchdog, silence_s: float) -> None:
    """Also ends the library's pauses between tries, which grow to a quarter of an hour."""
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
    """Cancel until it has ended: the library loses a cancellation that comes as the connection breaks."""
    while not listening.done():
        listening.cancel()
        await asyncio.wait({listening}, timeout=CANCEL_RETRY_S)


async def _close_connections(bot: AnyBot) -> None:
    """End the connections and leave what sends messages as it is."""
    shards = bot.shards.values() if isinstance(bot, commands.AutoShardedBot) else ()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            for shard in shards:
                await shard.disconnect()
            if not shards and bot.ws is not None:
                await bot.ws.close(code=GONE_SILENT)
            for begun in _half_open_connections(bot):
                await begun.close(code=GONE_SILENT)
    except CONNECTION_ERRORS as error:
        log.debug("The old connection is gone already: %s", type(error).__name__)


def _half_open_connections(bot: AnyBot) -> list[DiscordWebSocket]:
    """Connections that were cancelled while they were made: the library knows of them no more, but the threads that
    keep them alive do.
    """
    threads = [thread for thread in threading.enumerate() if isinstance(thread, KeepAliveHandler)]
    return [thread.ws for thread in threads if thread.ws._connection is bot._connection]

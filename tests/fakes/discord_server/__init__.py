"""A fake Discord on loopback: HTTP API v10 and gateway, for what a simulation inside the client cannot play.

    async with discord_server() as server, running(server, Listener()) as client:
        home = server.guild("Home")
        general, ana = home.channel("general"), home.member("Ana")
        server.faults.limit("PATCH", MESSAGE, retry_after_s=1, times=3)
        await general.say(ana, "<@bot> where is the drive?")
        server.gateway.drop()
        await server.until(lambda: general.said_by_bot)

What people do is asked of channels (`say`, `edit`, `remove`, `command`, `menu`, `press`); what the bot did is read from
them (`said_by_bot`, each message with its `versions`) and from `server.requests`.
"""

from tests.fakes.discord_server.clients import Listener, running
from tests.fakes.discord_server.server import DiscordServer, discord_server
from tests.fakes.discord_server.world import Settings

__all__ = ["DiscordServer", "Listener", "Settings", "discord_server", "running"]

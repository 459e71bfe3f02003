"""A fake Discord on loopback: HTTP API v10 and gateway, for what a simulation inside the client cannot play."""

from tests.fakes.discord_server.clients import Listener, running
from tests.fakes.discord_server.server import DiscordServer, discord_server
from tests.fakes.discord_server.world import Settings

__all__ = ["DiscordServer", "Listener", "Settings", "discord_server", "running"]

"""Routes about application commands."""

from __future__ import annotations

from typing import Any

from tests.fakes.discord_server.http import Call, Routes
from tests.fakes.discord_server.world import World

commands = Routes()
GLOBAL = "/applications/{application_id}/commands"
GUILD = "/applications/{application_id}/guilds/{guild_id}/commands"


def _scope(call: Call) -> int:
    return int(call.ids.get("guild_id", 0))


@commands.on("GET", GLOBAL)
@commands.on("GET", GUILD)
def listed(world: World, call: Call) -> Any:
    return world.commands.listed(_scope(call))


@commands.on("PUT", GLOBAL)
@commands.on("PUT", GUILD)
def overwrite(world: World, call: Call) -> Any:
    return world.commands.overwrite(call.json, _scope(call))


@commands.on("POST", GLOBAL)
@commands.on("POST", GUILD)
def add(world: World, call: Call) -> Any:
    return world.commands.add(call.json, _scope(call))


@commands.on("DELETE", GLOBAL + "/{command_id}")
@commands.on("DELETE", GUILD + "/{command_id}")
def remove(world: World, call: Call) -> None:
    world.commands.remove(call.id("command_id"), _scope(call))

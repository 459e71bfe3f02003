"""The bot's application commands, as registered with the fake Discord."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import discord

from tests.fakes.discord_server import refusals
from tests.fakes.discord_server.people import Member

if TYPE_CHECKING:
    from tests.fakes.discord_server.world import World

# application-commands.mdx: 200 creations a day and guild; a command whose name is already there is not a creation.
CREATIONS_A_DAY = 200
CHAT_INPUT, USER_MENU, MESSAGE_MENU = 1, 2, 3


class Commands:
    """What is registered, globally (guild 0) or for a guild. `writes` counts the requests that changed it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: dict[int, dict[tuple[str, int], dict[str, Any]]] = {}
        self._created: list[float] = []
        self.writes = 0

    def names(self, guild_id: int = 0) -> list[str]:
        """The names of the registered commands."""
        return sorted(name for name, _ in self._kept.get(guild_id, {}))

    def listed(self, guild_id: int = 0) -> list[dict[str, Any]]:
        """The commands as the API lists them."""
        return list(self._kept.get(guild_id, {}).values())

    def overwrite(self, given: Sequence[Mapping[str, Any]], guild_id: int = 0) -> list[dict[str, Any]]:
        """Register these and no others."""
        self.writes += 1
        before, self._kept[guild_id] = self._kept.get(guild_id, {}), {}
        for command in given:
            self._put(command, guild_id, before)
        return self.listed(guild_id)

    def add(self, command: Mapping[str, Any], guild_id: int = 0) -> dict[str, Any]:
        """Register one more, or change the one of that name."""
        self.writes += 1
        return self._put(command, guild_id, self._kept.setdefault(guild_id, {}))

    def remove(self, command_id: int, guild_id: int = 0) -> None:
        """Unregister one."""
        self.writes += 1
        kept = self._kept.get(guild_id, {})
        key = next((key for key, command in kept.items() if command["id"] == str(command_id)), None)
        if key is None:
            raise refusals.unknown_command()
        del kept[key]

    def offered(self, name: str, kind: int, guild_id: int, member: Member | None) -> dict[str, Any]:
        """The command as this member's client lists it. Fails the test where it does not."""
        for scope in (guild_id, 0):
            command = self._kept.get(scope, {}).get((name, kind))
            if command is None:
                continue
            wanted = command.get("default_member_permissions")
            assert member is None or _may(member, wanted), f"{member.name} is not offered the command {name!r}"
            return command
        raise AssertionError(f"no command {name!r} is registered, only {self.names(guild_id) + self.names()}")

    def _put(
        self, command: Mapping[str, Any], guild_id: int, before: Mapping[Any, Mapping[str, Any]]
    ) -> dict[str, Any]:
        key = str(command["name"]), int(command.get("type", CHAT_INPUT))
        old = before.get(key)
        if old is None:
            self._count_creation()
        kept = {
            "options": [],
            "default_member_permissions": None,
            **command,
            "type": key[1],
            "id": old["id"] if old else str(self._world.ids.take()),
            "application_id": str(self._world.bot.id),
            "version": str(self._world.ids.take()),
            **({"guild_id": str(guild_id)} if guild_id else {}),
        }
        kept.setdefault("description", "")
        self._kept.setdefault(guild_id, {})[key] = kept
        return kept

    def _count_creation(self) -> None:
        now = self._world.clock.now()
        self._created = [at for at in self._created if at > now - 24 * 3600]
        if len(self._created) >= CREATIONS_A_DAY:
            raise refusals.daily_command_limit()
        self._created.append(now)


def _may(member: Member, wanted: str | None) -> bool:
    granted = member.permissions()
    if wanted is None or granted.administrator or member is member.guild.owner:
        return True
    # "0" is for administrators only.
    return int(wanted) != 0 and granted.is_superset(discord.Permissions(int(wanted)))

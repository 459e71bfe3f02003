"""The roles and servers of people who write directly, asked of Discord and kept for a minute at most."""

import asyncio
import time
from dataclasses import dataclass, field

import discord

from adapters.discord.failures import LOST

ROLES_KEPT_S = 60.0
"""The longest that a role which was taken away may still count."""

SERVERS_ASKED = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person is on the servers that the bot is on as well."""

    role_ids: frozenset[int] = field(default_factory=frozenset)
    guild_ids: frozenset[int] = field(default_factory=frozenset)


class People:
    """Asks for people's standing."""

    def __init__(self, bot: discord.Client) -> None:
        self._bot = bot
        self._known: dict[int, tuple[float, Standing]] = {}

    async def standing(self, user_id: int) -> Standing:
        """A person's roles and servers, at most a minute old. What cannot be asked counts as not held."""
        now = time.monotonic()
        self._known = {user: kept for user, kept in self._known.items() if now - kept[0] < ROLES_KEPT_S}
        if user_id not in self._known:
            members = await asyncio.gather(*(_member(guild, user_id) for guild in self._bot.guilds[:SERVERS_ASKED]))
            found = [member for member in members if member is not None]
            roles = frozenset(role.id for member in found for role in member.roles)
            self._known[user_id] = (now, Standing(roles, frozenset(member.guild.id for member in found)))
        return self._known[user_id][1]


async def _member(guild: discord.Guild, user_id: int) -> discord.Member | None:
    try:
        return await guild.fetch_member(user_id)
    except (discord.HTTPException, *LOST):
        return None

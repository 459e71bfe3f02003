"""What people are on the servers that the bot is on: their roles and rights, and who of them is an admin."""

import asyncio
import time
from dataclasses import dataclass, field

import discord

from adapters.discord.failures import LOST
from adapters.discord.settings import DiscordSettings

ROLES_KEPT_S = 60.0
"""The longest that a role which was taken away may still count."""

SERVERS_ASKED = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person is where they write: on that server, or for direct messages on all that the bot is on as well.

    `manages`: they may manage such a server.
    """

    role_ids: frozenset[int] = field(default_factory=frozenset)
    guild_ids: frozenset[int] = field(default_factory=frozenset)
    manages: bool = False


def is_admin(settings: DiscordSettings, user_id: int, standing: Standing) -> bool:
    """Whether a person may use the admins' commands, whichever way they give them."""
    named = user_id in settings.admin_users or not settings.admin_roles.isdisjoint(standing.role_ids)
    return named or standing.manages


class People:
    """Knows people's standing: on servers it comes with what they do, for direct messages it is asked of Discord."""

    def __init__(self, bot: discord.Client) -> None:
        self._bot = bot
        self._known: dict[int, tuple[float, Standing]] = {}

    async def standing(self, person: discord.User | discord.Member, timeout_s: float) -> Standing:
        """What a person is where they write, at most a minute old. What cannot be asked in time counts as not held."""
        if isinstance(person, discord.Member):
            return _on_server(person)
        now = time.monotonic()
        self._known = {user: kept for user, kept in self._known.items() if now - kept[0] < ROLES_KEPT_S}
        if person.id not in self._known:
            try:
                async with asyncio.timeout(timeout_s):
                    self._known[person.id] = (now, await self._asked(person.id))
            except TimeoutError:
                return Standing()
        return self._known[person.id][1]

    async def _asked(self, user_id: int) -> Standing:
        members = await asyncio.gather(*(_member(guild, user_id) for guild in self._bot.guilds[:SERVERS_ASKED]))
        each = [_on_server(member) for member in members if member is not None]
        return Standing(
            frozenset().union(*(one.role_ids for one in each)),
            frozenset().union(*(one.guild_ids for one in each)),
            any(one.manages for one in each),
        )


def _on_server(member: discord.Member) -> Standing:
    # Interactions bring the rights themselves; messages bring the roles that they follow from.
    rights = member.guild_permissions if member.resolved_permissions is None else member.resolved_permissions
    roles = frozenset(role.id for role in member.roles)
    return Standing(roles, frozenset({member.guild.id}), rights.administrator or rights.manage_guild)


async def _member(guild: discord.Guild, user_id: int) -> discord.Member | None:
    try:
        return await guild.fetch_member(user_id)
    except (discord.HTTPException, *LOST):
        return None

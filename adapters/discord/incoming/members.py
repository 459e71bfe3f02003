"""Roles and rights of people on the bot's servers, and whether they are admins."""

import asyncio
import time
from dataclasses import dataclass, field

import discord

from adapters.discord.failures import CONNECTION_ERRORS
from adapters.discord.settings import DiscordSettings

RIGHTS_TTL_S = 60.0
"""Longest time that a revoked role may still count."""

MAX_GUILDS_ASKED = 20


@dataclass(frozen=True, slots=True)
class MemberRights:
    """A person's roles and rights on the server where they write; in direct messages, on all servers of the bot.

    `manages_guild`: they may manage such a server.
    """

    role_ids: frozenset[int] = field(default_factory=frozenset)
    guild_ids: frozenset[int] = field(default_factory=frozenset)
    manages_guild: bool = False


def is_admin(settings: DiscordSettings, user_id: int, rights: MemberRights) -> bool:
    """Whether a person may use the admins' commands, in messages or as slash commands."""
    named = user_id in settings.admin_users or not settings.admin_roles.isdisjoint(rights.role_ids)
    return named or rights.manages_guild


class MemberDirectory:
    """Rights of people: part of each event on servers, fetched from Discord for direct messages."""

    def __init__(self, bot: discord.Client) -> None:
        self._bot = bot
        self._cached: dict[int, tuple[float, MemberRights]] = {}

    async def get_rights(self, person: discord.User | discord.Member, timeout_s: float) -> MemberRights:
        """A person's rights where they write, at most a minute old; none when they cannot be fetched in time."""
        if isinstance(person, discord.Member):
            return _rights_of_member(person)
        now = time.monotonic()
        self._cached = {user: entry for user, entry in self._cached.items() if now - entry[0] < RIGHTS_TTL_S}
        if person.id not in self._cached:
            try:
                async with asyncio.timeout(timeout_s):
                    self._cached[person.id] = (now, await self._fetch_rights(person.id))
            except TimeoutError:
                return MemberRights()
        return self._cached[person.id][1]

    async def _fetch_rights(self, user_id: int) -> MemberRights:
        members = await asyncio.gather(
            *(_fetch_member(guild, user_id) for guild in self._bot.guilds[:MAX_GUILDS_ASKED])
        )
        each = [_rights_of_member(member) for member in members if member is not None]
        return MemberRights(
            frozenset().union(*(one.role_ids for one in each)),
            frozenset().union(*(one.guild_ids for one in each)),
            any(one.manages_guild for one in each),
        )


def _rights_of_member(member: discord.Member) -> MemberRights:
    # Interactions contain the rights themselves; messages contain the roles that grant them.
    rights = member.guild_permissions if member.resolved_permissions is None else member.resolved_permissions
    roles = frozenset(role.id for role in member.roles)
    return MemberRights(roles, frozenset({member.guild.id}), rights.administrator or rights.manage_guild)


async def _fetch_member(guild: discord.Guild, user_id: int) -> discord.Member | None:
    try:
        return await guild.fetch_member(user_id)
    except (discord.HTTPException, *CONNECTION_ERRORS):
        return None

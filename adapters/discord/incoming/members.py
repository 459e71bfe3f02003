"""Roles and rights of people on the bot's servers, and whether they are admins."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

import discord

from adapters.discord.failures import CONNECTION_ERRORS, failure_reason
from adapters.discord.settings import DiscordSettings

log = logging.getLogger(__name__)

RIGHTS_TTL_S = 60.0
"""Longest time that a revoked role may still count."""

MAX_GUILDS_ASKED = 20


@dataclass(frozen=True, slots=True)
class MemberRights:
    """A person's roles and rights on the server where they write; in direct messages, on all servers of the bot.

    `manages_guild`: they may manage such a server. `is_complete`: Discord has told all of them; if not, the person may
    have roles that are missing here.
    """

    role_ids: frozenset[int] = field(default_factory=frozenset)
    guild_ids: frozenset[int] = field(default_factory=frozenset)
    manages_guild: bool = False
    is_complete: bool = True

    @property
    def known_role_ids(self) -> frozenset[int] | None:
        """The person's roles for the rules that admit or block; None when Discord has not told all of them."""
        return self.role_ids if self.is_complete else None


UNKNOWN_RIGHTS = MemberRights(is_complete=False)
"""The rights of a person about whom Discord has told nothing."""


def is_admin(settings: DiscordSettings, user_id: int, rights: MemberRights) -> bool:
    """Whether a person may use the admins' commands, in messages or as slash commands."""
    named = user_id in settings.admin_users or not settings.admin_roles.isdisjoint(rights.role_ids)
    return named or rights.manages_guild


class MemberDirectory:
    """Rights of people: part of each event on servers, fetched from Discord for direct messages."""

    def __init__(self, bot: discord.Client, settings: DiscordSettings) -> None:
        self._bot = bot
        self._named_roles = {*settings.roles.allow, *settings.roles.block, *settings.admin_roles}
        self._cached: dict[int, tuple[float, MemberRights]] = {}

    async def get_rights(self, person: discord.User | discord.Member, timeout_s: float) -> MemberRights:
        """A person's rights where they write, at most a minute old; incomplete when Discord does not tell them in time.
        Incomplete rights are not kept, so the next message asks again.
        """
        if isinstance(person, discord.Member):
            return _rights_of_member(person)
        now = time.monotonic()
        self._cached = {user: entry for user, entry in self._cached.items() if now - entry[0] < RIGHTS_TTL_S}
        if (known := self._cached.get(person.id)) is not None:
            return known[1]
        try:
            async with asyncio.timeout(timeout_s):
                rights = await self._fetch_rights(person.id)
        except TimeoutError:
            return UNKNOWN_RIGHTS
        if rights.is_complete:
            self._cached[person.id] = (now, rights)
        return rights

    async def _fetch_rights(self, user_id: int) -> MemberRights:
        each = await asyncio.gather(*(_fetch_guild_rights(guild, user_id) for guild in self._guilds_to_ask()))
        return MemberRights(
            frozenset().union(*(one.role_ids for one in each)),
            frozenset().union(*(one.guild_ids for one in each)),
            any(one.manages_guild for one in each),
            all(one.is_complete for one in each),
        )

    def _guilds_to_ask(self) -> list[discord.Guild]:
        """The bot's servers, those with a role that the settings name first."""
        guilds = sorted(
            self._bot.guilds, key=lambda guild: all(guild.get_role(role) is None for role in self._named_roles)
        )
        return guilds[:MAX_GUILDS_ASKED]


def _rights_of_member(member: discord.Member) -> MemberRights:
    # Interactions contain the rights themselves; messages contain the roles that grant them.
    rights = member.guild_permissions if member.resolved_permissions is None else member.resolved_permissions
    roles = frozenset(role.id for role in member.roles)
    return MemberRights(roles, frozenset({member.guild.id}), rights.administrator or rights.manage_guild)


async def _fetch_guild_rights(guild: discord.Guild, user_id: int) -> MemberRights:
    try:
        return _rights_of_member(await guild.fetch_member(user_id))
    except discord.NotFound:
        return MemberRights()  # not a member
    except (discord.HTTPException, *CONNECTION_ERRORS) as error:
        log.warning("Could not fetch the roles of a person on server %d: %s", guild.id, failure_reason(error))
        return UNKNOWN_RIGHTS

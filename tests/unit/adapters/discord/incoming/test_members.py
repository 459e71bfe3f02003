"""Who is an admin on Discord, and how the rights of people are found."""

from types import SimpleNamespace
from typing import cast

import discord
import pytest

from adapters.discord.incoming.members import UNKNOWN_RIGHTS, MemberDirectory, MemberRights, is_admin
from adapters.discord.settings import DiscordSettings
from tests.fakes.discord_errors import refusal


def test_only_who_manages_the_server_is_an_admin_by_default() -> None:
    cook = MemberRights(role_ids=frozenset({30}))
    assert not is_admin(DiscordSettings(), 1, cook)
    assert is_admin(DiscordSettings(admin_users=frozenset({1})), 1, MemberRights())
    assert is_admin(DiscordSettings(admin_roles=frozenset({30})), 1, cook)
    assert is_admin(DiscordSettings(), 1, MemberRights(manages_guild=True))


def test_roles_that_are_not_all_known_are_unknown_to_the_rules() -> None:
    known = MemberRights(role_ids=frozenset({30}))
    assert known.known_role_ids == {30}
    assert MemberRights(role_ids=frozenset({30}), is_complete=False).known_role_ids is None
    assert UNKNOWN_RIGHTS.known_role_ids is None
    assert not is_admin(DiscordSettings(admin_roles=frozenset({30})), 1, UNKNOWN_RIGHTS)


class FakeGuild:
    """A server that knows a role or not, and answers requests for members, or fails them."""

    def __init__(self, number: int, *roles: int, error: Exception | None = None) -> None:
        self.id, self.roles, self.error = number, roles, error
        self.asked = 0

    def get_role(self, role: int) -> int | None:
        return role if role in self.roles else None

    async def fetch_member(self, user_id: int) -> discord.Member:
        self.asked += 1
        raise self.error or refusal(404, 10007)


async def rights_of(guilds: list[FakeGuild], directory: MemberDirectory | None = None) -> MemberRights:
    return await (directory or directory_of(guilds)).get_rights(cast(discord.User, SimpleNamespace(id=1)), 10)


def directory_of(guilds: list[FakeGuild]) -> MemberDirectory:
    settings = DiscordSettings.model_validate({"roles": {"block": [30]}})
    return MemberDirectory(cast(discord.Client, SimpleNamespace(guilds=guilds)), settings)


async def test_who_is_no_member_has_no_roles_and_that_is_known() -> None:
    assert (await rights_of([FakeGuild(1, 30)])).known_role_ids == frozenset()


@pytest.mark.parametrize("error", [refusal(500, 0), refusal(403, 50001), ConnectionResetError()])
async def test_a_lookup_that_fails_is_not_kept(error: Exception) -> None:
    guild = FakeGuild(1, 30, error=error)
    directory = directory_of([guild, FakeGuild(2)])
    assert (await rights_of([], directory)).known_role_ids is None
    guild.error = None
    assert (await rights_of([], directory)).known_role_ids == frozenset()
    assert (await rights_of([], directory)).known_role_ids == frozenset()
    assert guild.asked == 2


async def test_servers_with_roles_that_the_settings_name_are_asked_first() -> None:
    guilds = [FakeGuild(number) for number in range(30)] + [FakeGuild(30, 30)]
    await rights_of(guilds)
    assert guilds[-1].asked == 1
    assert sum(guild.asked for guild in guilds) == 20

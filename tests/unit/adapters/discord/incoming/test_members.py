"""Who is an admin on Discord."""

from adapters.discord.incoming.members import MemberRights, is_admin
from adapters.discord.settings import DiscordSettings


def test_only_who_manages_the_server_is_an_admin_by_default() -> None:
    cook = MemberRights(role_ids=frozenset({30}))
    assert not is_admin(DiscordSettings(), 1, cook)
    assert is_admin(DiscordSettings(admin_users=frozenset({1})), 1, MemberRights())
    assert is_admin(DiscordSettings(admin_roles=frozenset({30})), 1, cook)
    assert is_admin(DiscordSettings(), 1, MemberRights(manages_guild=True))

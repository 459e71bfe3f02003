"""Who is answered where on Discord, as a table."""

import pytest

from adapters.discord.incoming.addressing import DiscordMessageFacts, DiscordRejectReason, why_ignored
from adapters.discord.settings import DiscordSettings

ANA, GUILD, ROOM, THREAD, COOKS = 1, 10, 20, 21, 30


def said(**what: object) -> DiscordMessageFacts:
    return DiscordMessageFacts(**{"author_id": ANA, "channel_id": ROOM, "guild_id": GUILD, **what})  # type: ignore[arg-type]


def doors(**lists: object) -> DiscordSettings:
    return DiscordSettings.model_validate(lists)


TO_US = {"mentions_bot": True}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({}, DiscordRejectReason.NOT_ADDRESSED),
        (TO_US, None),
        ({"replies_to_bot": True}, None),
        ({"is_own_thread": True, "channel_id": THREAD, "parent_id": ROOM}, None),
        ({"channel_id": THREAD, "parent_id": ROOM}, DiscordRejectReason.NOT_ADDRESSED),
        ({"guild_id": None}, None),
        ({**TO_US, "is_machine": True}, DiscordRejectReason.BOT),
        ({"guild_id": None, "is_machine": True}, DiscordRejectReason.BOT),
        ({**TO_US, "is_host_command": True}, DiscordRejectReason.HOST_COMMAND),
        ({**TO_US, "is_empty": True}, None),
        ({"guild_id": None, "is_empty": True}, None),
        ({"replies_to_bot": True, "is_empty": True}, DiscordRejectReason.NOT_ADDRESSED),
        ({"is_own_thread": True, "is_empty": True}, DiscordRejectReason.NOT_ADDRESSED),
        ({"is_own_thread": True, "is_for_others": True}, DiscordRejectReason.NOT_ADDRESSED),
        ({"is_own_thread": True, "is_for_others": True, **TO_US}, None),
        ({"is_own_thread": True, "is_for_others": True, "replies_to_bot": True}, None),
    ],
)
def test_only_what_is_meant_for_us_is_answered(what: dict[str, object], expected: DiscordRejectReason | None) -> None:
    assert why_ignored(said(**what), DiscordSettings()) == expected


@pytest.mark.parametrize(
    ("settings", "what", "expected"),
    [
        (doors(guilds={"allow": [GUILD]}), TO_US, None),
        (doors(guilds={"allow": [99]}), TO_US, DiscordRejectReason.GUILD),
        (doors(guilds={"block": [GUILD]}), TO_US, DiscordRejectReason.GUILD),
        (doors(guilds={"allow": [99]}), {"guild_id": None}, None),
        (doors(direct_messages=False), {"guild_id": None}, DiscordRejectReason.DIRECT_MESSAGE),
        (doors(direct_messages=False), TO_US, None),
        (doors(channels={"allow": [ROOM]}), {**TO_US, "channel_id": THREAD, "parent_id": ROOM}, None),
        (
            doors(channels={"block": [ROOM]}),
            {**TO_US, "channel_id": THREAD, "parent_id": ROOM},
            DiscordRejectReason.CHANNEL,
        ),
        (
            doors(channels={"allow": [THREAD], "block": [ROOM]}),
            {**TO_US, "parent_id": ROOM},
            DiscordRejectReason.CHANNEL,
        ),
        (doors(channels={"allow": [99]}), TO_US, DiscordRejectReason.CHANNEL),
        (doors(users={"block": [ANA]}), TO_US, DiscordRejectReason.USER),
        (doors(users={"allow": [ANA], "block": [ANA]}), TO_US, DiscordRejectReason.USER),
        (doors(users={"allow": [99]}), TO_US, DiscordRejectReason.USER),
        (doors(users={"allow": [99]}, roles={"allow": [COOKS]}), {**TO_US, "role_ids": frozenset({COOKS})}, None),
        (doors(roles={"allow": [COOKS]}), TO_US, DiscordRejectReason.USER),
        (doors(roles={"block": [COOKS]}), {**TO_US, "role_ids": frozenset({COOKS})}, DiscordRejectReason.USER),
        (
            doors(users={"allow": [ANA]}, roles={"block": [COOKS]}),
            {**TO_US, "role_ids": frozenset({COOKS})},
            DiscordRejectReason.USER,
        ),
        (doors(), {**TO_US, "role_ids": None}, None),
        (doors(users={"allow": [99]}), {**TO_US, "role_ids": None}, DiscordRejectReason.USER),
        (doors(roles={"block": [COOKS]}), {**TO_US, "role_ids": None}, DiscordRejectReason.ROLES_UNKNOWN),
        (doors(roles={"allow": [COOKS]}), {**TO_US, "role_ids": None}, DiscordRejectReason.ROLES_UNKNOWN),
        (doors(users={"allow": [ANA]}, roles={"allow": [COOKS]}), {**TO_US, "role_ids": None}, None),
        (
            doors(users={"allow": [ANA]}, roles={"block": [COOKS]}),
            {**TO_US, "role_ids": None},
            DiscordRejectReason.ROLES_UNKNOWN,
        ),
        (
            doors(users={"block": [ANA]}, roles={"block": [COOKS]}),
            {**TO_US, "role_ids": None},
            DiscordRejectReason.USER,
        ),
    ],
)
def test_lists_say_where_and_who(
    settings: DiscordSettings, what: dict[str, object], expected: DiscordRejectReason | None
) -> None:
    assert why_ignored(said(**what), settings) == expected


def test_what_is_not_for_us_is_never_told_to_be_shut_out() -> None:
    assert why_ignored(said(), doors(guilds={"block": [GUILD]})) is DiscordRejectReason.NOT_ADDRESSED


def test_a_single_channel_may_differ() -> None:
    settings = doors(answer_in_thread=True, channel_overrides={"20": {"answer_in_thread": False, "recent_messages": 7}})
    assert (settings.answers_in_thread(ROOM), settings.answers_in_thread(99)) == (False, True)
    assert (settings.recent_limit(ROOM), settings.recent_limit(99)) == (7, 0)

"""Who is answered where on Discord, as a table."""

import pytest

from adapters.discord.incoming.addressing import Seen, Unheard, judge
from adapters.discord.settings import DiscordSettings

ANA, GUILD, ROOM, THREAD, COOKS = 1, 10, 20, 21, 30


def said(**what: object) -> Seen:
    return Seen(**{"author_id": ANA, "channel_id": ROOM, "guild_id": GUILD, **what})  # type: ignore[arg-type]


def doors(**lists: object) -> DiscordSettings:
    return DiscordSettings.model_validate(lists)


TO_US = {"mentions_us": True}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({}, Unheard.NOT_ADDRESSED),
        (TO_US, None),
        ({"replies_to_us": True}, None),
        ({"own_thread": True, "channel_id": THREAD, "parent_id": ROOM}, None),
        ({"channel_id": THREAD, "parent_id": ROOM}, Unheard.NOT_ADDRESSED),
        ({"guild_id": None}, None),
        ({**TO_US, "is_machine": True}, Unheard.MACHINE),
        ({"guild_id": None, "is_machine": True}, Unheard.MACHINE),
        ({**TO_US, "is_host_command": True}, Unheard.HOST_COMMAND),
    ],
)
def test_only_what_is_meant_for_us_is_answered(what: dict[str, object], expected: Unheard | None) -> None:
    assert judge(said(**what), DiscordSettings()) == expected


@pytest.mark.parametrize(
    ("settings", "what", "expected"),
    [
        (doors(guilds={"allow": [GUILD]}), TO_US, None),
        (doors(guilds={"allow": [99]}), TO_US, Unheard.GUILD),
        (doors(guilds={"block": [GUILD]}), TO_US, Unheard.GUILD),
        (doors(guilds={"allow": [99]}), {"guild_id": None}, None),
        (doors(direct_messages=False), {"guild_id": None}, Unheard.DIRECT),
        (doors(direct_messages=False), TO_US, None),
        (doors(channels={"allow": [ROOM]}), {**TO_US, "channel_id": THREAD, "parent_id": ROOM}, None),
        (doors(channels={"block": [ROOM]}), {**TO_US, "channel_id": THREAD, "parent_id": ROOM}, Unheard.CHANNEL),
        (doors(channels={"allow": [THREAD], "block": [ROOM]}), {**TO_US, "parent_id": ROOM}, Unheard.CHANNEL),
        (doors(channels={"allow": [99]}), TO_US, Unheard.CHANNEL),
        (doors(users={"block": [ANA]}), TO_US, Unheard.PERSON),
        (doors(users={"allow": [ANA], "block": [ANA]}), TO_US, Unheard.PERSON),
        (doors(users={"allow": [99]}), TO_US, Unheard.PERSON),
        (doors(users={"allow": [99]}, roles={"allow": [COOKS]}), {**TO_US, "role_ids": frozenset({COOKS})}, None),
        (doors(roles={"allow": [COOKS]}), TO_US, Unheard.PERSON),
        (doors(roles={"block": [COOKS]}), {**TO_US, "role_ids": frozenset({COOKS})}, Unheard.PERSON),
        (
            doors(users={"allow": [ANA]}, roles={"block": [COOKS]}),
            {**TO_US, "role_ids": frozenset({COOKS})},
            Unheard.PERSON,
        ),
    ],
)
def test_lists_say_where_and_who(settings: DiscordSettings, what: dict[str, object], expected: Unheard | None) -> None:
    assert judge(said(**what), settings) == expected


def test_what_is_not_for_us_is_never_told_to_be_shut_out() -> None:
    assert judge(said(), doors(guilds={"block": [GUILD]})) is Unheard.NOT_ADDRESSED


def test_a_single_channel_may_differ() -> None:
    settings = doors(answer_in_thread=True, each_channel={"20": {"answer_in_thread": False, "recent_messages": 7}})
    assert (settings.in_thread(ROOM), settings.in_thread(99)) == (False, True)
    assert (settings.recent_in(ROOM), settings.recent_in(99)) == (7, 0)

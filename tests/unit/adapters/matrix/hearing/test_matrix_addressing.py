"""Who is answered where on Matrix, as a table."""

import pytest

from adapters.matrix.incoming.addressing import Seen, Unheard, judge
from adapters.matrix.settings import MatrixSettings

ANA, ROOM = "@ana:home.example", "!kitchen:home.example"


def said(**what: object) -> Seen:
    return Seen(**{"sender": ANA, "room_id": ROOM, **what})  # type: ignore[arg-type]


def doors(**lists: object) -> MatrixSettings:
    return MatrixSettings.model_validate(lists)


TO_US = {"mentions_us": True}
DIRECT = {"is_direct": True}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({}, Unheard.NOT_ADDRESSED),
        (TO_US, None),
        (DIRECT, None),
        ({"replies_to_us": True}, None),
        ({"own_thread": True}, None),
        ({"begins_command": True}, None),
        ({**TO_US, "is_ours": True}, Unheard.OURS),
        ({**DIRECT, "is_ours": True}, Unheard.OURS),
        ({**DIRECT, "is_said": False}, Unheard.NOT_SAID),
        ({**TO_US, "is_echo": True}, Unheard.ECHO),
        ({**DIRECT, "is_bare_file": True}, Unheard.FILE),
        ({"own_thread": True, "is_bare_file": True}, Unheard.FILE),
        ({"is_bare_file": True}, Unheard.NOT_ADDRESSED),
        ({**TO_US, "is_bare_file": True}, None),
    ],
)
def test_only_what_is_meant_for_us_is_answered(what: dict[str, object], expected: Unheard | None) -> None:
    assert judge(said(**what), MatrixSettings()) == expected


@pytest.mark.parametrize(
    ("settings", "what", "expected"),
    [
        (doors(users={"allow": ["@ana:*"]}), TO_US, None),
        (doors(users={"allow": ["@ben:*"]}), TO_US, Unheard.PERSON),
        (doors(users={"allow": ["@*:home.example"], "block": ["@an?:*"]}), TO_US, Unheard.PERSON),
        (doors(servers={"allow": ["home.example"]}), TO_US, None),
        (doors(servers={"allow": ["*.example"]}), TO_US, None),
        (doors(servers={"allow": ["example"]}), TO_US, Unheard.PERSON),
        (doors(servers={"block": ["home.*"]}, users={"allow": [ANA]}), TO_US, Unheard.PERSON),
        (doors(servers={"allow": ["far.example"]}, users={"allow": [ANA]}), TO_US, None),
        (doors(rooms={"allow": ["!kitchen:*"]}), TO_US, None),
        (doors(rooms={"allow": ["!cellar:*"]}), TO_US, Unheard.ROOM),
        (doors(rooms={"block": [ROOM]}), TO_US, Unheard.ROOM),
        (doors(rooms={"allow": [ROOM], "block": ["!*:home.example"]}), TO_US, Unheard.ROOM),
        (doors(rooms={"allow": ["!cellar:*"]}), DIRECT, None),
        (doors(rooms={"block": [ROOM]}), DIRECT, Unheard.ROOM),
        (doors(direct_messages=False), DIRECT, Unheard.DIRECT),
        (doors(direct_messages=False), {**DIRECT, **TO_US}, Unheard.DIRECT),
        (doors(direct_messages=False), TO_US, None),
        (doors(bots=["@*bot:*", "@ana:*"]), TO_US, Unheard.MACHINE),
        (doors(bots=["@ana:*"]), DIRECT, Unheard.MACHINE),
        (doors(users={"block": [ANA]}), {"begins_command": True}, Unheard.PERSON),
    ],
)
def test_lists_say_where_and_who(settings: MatrixSettings, what: dict[str, object], expected: Unheard | None) -> None:
    assert judge(said(**what), settings) == expected


def test_what_is_not_for_us_is_never_told_to_be_shut_out() -> None:
    assert judge(said(), doors(rooms={"block": [ROOM]})) is Unheard.NOT_ADDRESSED


def test_a_command_need_not_be_meant_for_us() -> None:
    assert not said(begins_command=True).addressed

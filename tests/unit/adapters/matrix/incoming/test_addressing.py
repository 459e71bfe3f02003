"""Who is answered where on Matrix, as a table."""

import pytest

from adapters.matrix.incoming.addressing import MatrixMessageFacts, MatrixRejectReason, why_ignored
from adapters.matrix.settings import MatrixSettings

ANA, ROOM = "@ana:home.example", "!kitchen:home.example"


def said(**what: object) -> MatrixMessageFacts:
    return MatrixMessageFacts(**{"sender": ANA, "room_id": ROOM, **what})  # type: ignore[arg-type]


def doors(**lists: object) -> MatrixSettings:
    return MatrixSettings.model_validate(lists)


TO_US = {"mentions_bot": True}
DIRECT = {"is_direct": True}


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({}, MatrixRejectReason.NOT_ADDRESSED),
        (TO_US, None),
        (DIRECT, None),
        ({"replies_to_bot": True}, None),
        ({"in_joined_thread": True}, None),
        ({"has_prefix": True}, None),
        ({**TO_US, "is_own": True}, MatrixRejectReason.OWN),
        ({**DIRECT, "is_own": True}, MatrixRejectReason.OWN),
        ({**DIRECT, "is_user_message": False}, MatrixRejectReason.NOT_A_MESSAGE),
        ({**TO_US, "is_unencrypted": True}, MatrixRejectReason.UNENCRYPTED),
        ({"has_prefix": True, "is_unencrypted": True}, MatrixRejectReason.UNENCRYPTED),
        ({"is_unencrypted": True}, MatrixRejectReason.NOT_ADDRESSED),
        ({**DIRECT, "is_muted": True}, MatrixRejectReason.MUTED),
        ({**DIRECT, "is_muted": True, "is_unencrypted": True}, MatrixRejectReason.UNENCRYPTED),
        ({"is_muted": True}, MatrixRejectReason.NOT_ADDRESSED),
        ({**DIRECT, "is_bare_file": True}, MatrixRejectReason.BARE_FILE),
        ({"in_joined_thread": True, "is_bare_file": True}, MatrixRejectReason.BARE_FILE),
        ({"is_bare_file": True}, MatrixRejectReason.NOT_ADDRESSED),
        ({**TO_US, "is_bare_file": True}, None),
    ],
)
def test_only_what_is_meant_for_us_is_answered(what: dict[str, object], expected: MatrixRejectReason | None) -> None:
    assert why_ignored(said(**what), MatrixSettings()) == expected


@pytest.mark.parametrize(
    ("settings", "what", "expected"),
    [
        (doors(users={"allow": ["@ana:*"]}), TO_US, None),
        (doors(users={"allow": ["@ben:*"]}), TO_US, MatrixRejectReason.USER),
        (doors(users={"allow": ["@*:home.example"], "block": ["@an?:*"]}), TO_US, MatrixRejectReason.USER),
        (doors(servers={"allow": ["home.example"]}), TO_US, None),
        (doors(servers={"allow": ["*.example"]}), TO_US, None),
        (doors(servers={"allow": ["example"]}), TO_US, MatrixRejectReason.USER),
        (doors(servers={"block": ["home.*"]}, users={"allow": [ANA]}), TO_US, MatrixRejectReason.USER),
        (doors(servers={"allow": ["far.example"]}, users={"allow": [ANA]}), TO_US, None),
        (doors(rooms={"allow": ["!kitchen:*"]}), TO_US, None),
        (doors(rooms={"allow": ["!cellar:*"]}), TO_US, MatrixRejectReason.ROOM),
        (doors(rooms={"block": [ROOM]}), TO_US, MatrixRejectReason.ROOM),
        (doors(rooms={"allow": [ROOM], "block": ["!*:home.example"]}), TO_US, MatrixRejectReason.ROOM),
        (doors(rooms={"allow": ["!cellar:*"]}), DIRECT, None),
        (doors(rooms={"block": [ROOM]}), DIRECT, MatrixRejectReason.ROOM),
        (doors(direct_messages=False), DIRECT, MatrixRejectReason.DIRECT_MESSAGE),
        (doors(direct_messages=False), {**DIRECT, **TO_US}, MatrixRejectReason.DIRECT_MESSAGE),
        (doors(direct_messages=False), TO_US, None),
        (doors(bots=["@*bot:*", "@ana:*"]), TO_US, MatrixRejectReason.BOT),
        (doors(bots=["@ana:*"]), DIRECT, MatrixRejectReason.BOT),
        (doors(users={"block": [ANA]}), {"has_prefix": True}, MatrixRejectReason.USER),
        (doors(users={"block": [ANA]}), {**TO_US, "is_unencrypted": True, "is_muted": True}, MatrixRejectReason.USER),
    ],
)
def test_lists_say_where_and_who(
    settings: MatrixSettings, what: dict[str, object], expected: MatrixRejectReason | None
) -> None:
    assert why_ignored(said(**what), settings) == expected


def test_what_is_not_for_us_is_never_told_to_be_shut_out() -> None:
    assert why_ignored(said(), doors(rooms={"block": [ROOM]})) is MatrixRejectReason.NOT_ADDRESSED


def test_a_command_need_not_be_meant_for_us() -> None:
    assert not said(has_prefix=True).is_addressed

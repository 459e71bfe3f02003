"""Who is let in by lists of patterns."""

import pytest

from adapters.intake.access_list import AccessList, matches_any
from adapters.intake.settings import ChannelSettings
from adapters.matrix.settings import MatrixSettings, Patterns


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("@ana:home.example", "@ana:home.example", True),
        ("@ana:home.example", "@*:home.example", True),
        ("@ana:home.example", "@an?:home.example", True),
        ("@ana:home.example", "@ana:HOME.example", True),
        ("@ana:home.example.evil", "@*:home.example", False),
        ("@ana:homeXexample", "@*:home.example", False),
        ("@ana:[::1]", "@*:[::1]", True),
        ("@ana\nx:home.example", "@*:home.example", True),
        ("", "?", False),
    ],
)
def test_a_pattern_fits_the_whole_name(name: str, pattern: str, fits: bool) -> None:
    assert matches_any(name, [pattern]) is fits


def test_an_empty_list_lets_everybody_in_and_a_block_wins() -> None:
    assert AccessList[str]().allows("anybody")
    assert not AccessList[str](allow=("@ana:*",)).allows("@bob:home.example")
    assert not AccessList[str](allow=("@ana:*",), block=("*:evil.example",)).allows("@ana:evil.example")


def test_who_is_blocked_or_another_bot_is_not_answered() -> None:
    settings = MatrixSettings(servers=Patterns(block=("evil.example",)), bots=("@*bot:*",))
    assert settings.answers_user("@ana:home.example")
    assert not settings.answers_user("@ana:evil.example")
    assert not settings.answers_user("@ANA:EVIL.EXAMPLE")
    assert not settings.answers_user("@weatherbot:home.example")


def test_who_is_in_one_of_the_allow_lists_is_answered() -> None:
    settings = MatrixSettings(users=Patterns(allow=("@friend:*",)), servers=Patterns(allow=("home.example",)))
    assert settings.answers_user("@ana:home.example")
    assert settings.answers_user("@friend:elsewhere.example")
    assert not settings.answers_user("@ana:elsewhere.example")


def test_a_room_that_replaces_another_is_as_that_one_is_configured() -> None:
    settings = MatrixSettings(
        rooms=Patterns(allow=("!old:x",)),
        room_overrides={"!old:x": ChannelSettings(answer_in_thread=True, recent_messages=7)},
    )
    replaced: dict[str, str] = {}
    following = settings.with_replaced_rooms(replaced)
    assert not following.allows_room("!newest:x")
    replaced |= {"!newer:x": "!old:x", "!newest:x": "!newer:x"}
    assert following.allows_room("!newest:x")
    assert following.answers_in_thread("!newest:x")
    assert following.recent_limit("!newest:x") == 7
    assert not settings.answers_in_thread("!newest:x")


def test_rooms_that_claim_to_replace_each_other_end_nowhere() -> None:
    following = MatrixSettings(rooms=Patterns(allow=("!a:x",))).with_replaced_rooms({"!b:x": "!c:x", "!c:x": "!b:x"})
    assert not following.allows_room("!b:x")


def test_a_direct_chat_need_not_be_in_the_allow_list_but_may_be_blocked() -> None:
    settings = MatrixSettings(rooms=Patterns(allow=("!room:x",), block=("!blocked:x",)))
    assert settings.allows_room("!direct:x", is_direct=True)
    assert not settings.allows_room("!direct:x")
    assert not settings.allows_room("!blocked:x", is_direct=True)

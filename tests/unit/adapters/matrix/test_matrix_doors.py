"""Who is let in by lists of patterns."""

import pytest

from adapters.matrix.settings import Doors, MatrixSettings, RoomSettings, matches


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
    assert matches(name, [pattern]) is fits


def test_an_empty_list_lets_everybody_in_and_a_block_wins() -> None:
    assert Doors().lets_in("anybody")
    assert not Doors(allow=("@ana:*",)).lets_in("@bob:home.example")
    assert not Doors(allow=("@ana:*",), block=("*:evil.example",)).lets_in("@ana:evil.example")


def test_who_is_blocked_or_another_bot_is_not_answered() -> None:
    settings = MatrixSettings(servers=Doors(block=("evil.example",)), bots=("@*bot:*",))
    assert settings.answers("@ana:home.example")
    assert not settings.answers("@ana:evil.example")
    assert not settings.answers("@ANA:EVIL.EXAMPLE")
    assert not settings.answers("@weatherbot:home.example")


def test_who_is_in_one_of_the_allow_lists_is_answered() -> None:
    settings = MatrixSettings(users=Doors(allow=("@friend:*",)), servers=Doors(allow=("home.example",)))
    assert settings.answers("@ana:home.example")
    assert settings.answers("@friend:elsewhere.example")
    assert not settings.answers("@ana:elsewhere.example")


def test_a_room_that_replaces_another_is_as_that_one_is_configured() -> None:
    settings = MatrixSettings(
        rooms=Doors(allow=("!old:x",)), each_room={"!old:x": RoomSettings(answer_in_thread=True, recent_messages=7)}
    )
    replaced: dict[str, str] = {}
    following = settings.following(replaced)
    assert not following.lets_in_room("!newest:x")
    replaced |= {"!newer:x": "!old:x", "!newest:x": "!newer:x"}
    assert following.lets_in_room("!newest:x")
    assert following.in_thread("!newest:x")
    assert following.recent_in("!newest:x") == 7
    assert not settings.in_thread("!newest:x")


def test_rooms_that_claim_to_replace_each_other_end_nowhere() -> None:
    following = MatrixSettings(rooms=Doors(allow=("!a:x",))).following({"!b:x": "!c:x", "!c:x": "!b:x"})
    assert not following.lets_in_room("!b:x")


def test_a_direct_chat_need_not_be_in_the_allow_list_but_may_be_blocked() -> None:
    settings = MatrixSettings(rooms=Doors(allow=("!room:x",), block=("!blocked:x",)))
    assert settings.lets_in_room("!direct:x", is_direct=True)
    assert not settings.lets_in_room("!direct:x")
    assert not settings.lets_in_room("!blocked:x", is_direct=True)

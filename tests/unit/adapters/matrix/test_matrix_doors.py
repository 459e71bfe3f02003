"""Who is let in by lists of patterns."""

import pytest

from adapters.matrix.settings import Doors, MatrixSettings, matches


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

import pytest

from knowledge.spelling import is_near, near_spellings


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("radiatr", "radiator"),
        ("fridgge", "fridge"),
        ("garsge", "garage"),
        ("heizugn", "heizung"),
        ("cahuffage", "chauffage"),
        ("ehating", "heating"),
        ("насаос", "насос"),
    ],
)
def test_one_slip_is_near(written: str, meant: str) -> None:
    assert meant in near_spellings(written)


@pytest.mark.parametrize(("written", "other"), [("heating", "seating"), ("boiler", "broiled"), ("pump", "pumps ")])
def test_another_first_letter_or_two_slips_are_another_word(written: str, other: str) -> None:
    assert other not in near_spellings(written)


@pytest.mark.parametrize("word", ["bin", "wp150", "été", "钥匙", "3d-druck", ""])
def test_short_words_codes_and_other_scripts_are_left_alone(word: str) -> None:
    assert near_spellings(word) == set()


def test_a_word_is_not_near_itself() -> None:
    assert "letter" not in near_spellings("letter")


@pytest.mark.parametrize(
    ("word", "other", "near"),
    [
        ("radiatrs", "radiator", True),
        ("etagere", "étagéres", False),
        ("chaudiére", "chaudrière", True),
        ("recette", "reset", False),
        ("capital", "captain", False),
    ],
)
def test_words_are_compared_as_they_are_written(word: str, other: str, near: bool) -> None:
    assert is_near(word, other) is near

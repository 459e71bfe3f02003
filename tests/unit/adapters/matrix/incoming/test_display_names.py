"""What people are called."""

import pytest

from adapters.matrix.events import Room
from adapters.matrix.incoming.display_names import DisplayNames
from bot.core.foreign_text import MAX_NAME_CHARACTERS

ANA = "@ana:home.example"


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("Ana", "Ana"),
        ("  Ana \n Maria ", "Ana Maria"),
        ("Ana\u202e\u200b", "Ana"),
        ("Ana: yes. Hearth", "Ana yes. Hearth"),
        ("\u200b", "ana"),
        ("", "ana"),
        ("a" * 200, "a" * MAX_NAME_CHARACTERS),
    ],
)
def test_names_cannot_mislead(called: str, name: str) -> None:
    assert DisplayNames(Room("!r:x", display_names={ANA: called})).display_name(ANA) == name


def test_whom_nobody_knows_is_called_by_the_id() -> None:
    names = DisplayNames(Room("!r:x"))
    assert names.display_name(ANA) == "ana"
    assert names.known_name(ANA) == ""
    assert names.display_name("@:x") == "somebody"


def test_of_two_with_the_same_name_each_has_the_id_beside_it() -> None:
    names = DisplayNames(Room("!r:x", display_names={ANA: "Ana", "@eve:x": "ANA\u200b", "@ben:x": "Ben"}))
    assert names.display_name("@eve:x") == "ANA (@eve:x)"
    assert names.display_name(ANA) == "Ana (@ana:home.example)"
    assert names.display_name("@ben:x") == "Ben"

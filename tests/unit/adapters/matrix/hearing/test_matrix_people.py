"""What people are called."""

import pytest

from adapters.matrix.events import Room
from adapters.matrix.incoming.display_names import NAME_CHARACTERS, Names

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
        ("a" * 200, "a" * NAME_CHARACTERS),
    ],
)
def test_names_cannot_mislead(called: str, name: str) -> None:
    assert Names(Room("!r:x", names={ANA: called})).of(ANA) == name


def test_whom_nobody_knows_is_called_by_the_id() -> None:
    names = Names(Room("!r:x"))
    assert names.of(ANA) == "ana"
    assert names.known(ANA) == ""
    assert names.of("@:x") == "somebody"


def test_of_two_with_the_same_name_each_has_the_id_beside_it() -> None:
    names = Names(Room("!r:x", names={ANA: "Ana", "@eve:x": "ANA\u200b", "@ben:x": "Ben"}))
    assert names.of("@eve:x") == "ANA (@eve:x)"
    assert names.of(ANA) == "Ana (@ana:home.example)"
    assert names.of("@ben:x") == "Ben"

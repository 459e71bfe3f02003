"""Names of commands are recognized however people write them, and misspelled ones are told apart from other words."""

import unicodedata

import pytest

from bot.core.command_names import (
    fold_name,
    is_french_command,
    is_name_like,
    nearest_name,
    split_command,
    strip_closing_marks,
)

NAMES = ("ask", "help", "aide", "sources", "stop", "arrete", "stats", "forget", "oublie", "reindex", "reindexe")


@pytest.mark.parametrize(
    "written", ["arrête", "Arrête", "ARRETE", unicodedata.normalize("NFD", "arrête"), "arr\u200bete"]
)
def test_accents_case_and_invisible_characters_do_not_matter(written: str) -> None:
    assert fold_name(written) == "arrete"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ask Where is it?", ("ask", "Where is it?")),
        ("ask\nWhere is it?\nQuickly.", ("ask", "Where is it?\nQuickly.")),
        ("forget\u00a0conversation", ("forget", "conversation")),
        ("help", ("help", "")),
        ("", ("", "")),
        (" help", ("", "help")),
    ],
)
def test_any_white_space_parts_a_command_from_its_argument(text: str, parts: tuple[str, str]) -> None:
    assert split_command(text) == parts


@pytest.mark.parametrize("text", ["stop!", "stop ?", " stop. ", "stop"])
def test_marks_after_a_word_are_not_part_of_it(text: str) -> None:
    assert strip_closing_marks(text) == "stop"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("forgett", "forget"),
        ("hlep", "help"),
        ("source", "sources"),
        ("stopp", "stop"),
        ("arretes", "arrete"),
        ("reidnex", "reindex"),
        ("nosuch", None),
        ("important", None),
        ("hello", None),
    ],
)
def test_a_misspelled_name_leads_to_the_nearest_one(word: str, name: str | None) -> None:
    assert nearest_name(word, NAMES) == name


@pytest.mark.parametrize(
    ("word", "is_name"),
    [("help", True), ("arrête", True), ("etc/hosts:", False), ("5", False), ("", False), ("!", False)],
)
def test_only_a_word_can_be_meant_as_a_name(word: str, is_name: bool) -> None:
    assert is_name_like(word) is is_name


@pytest.mark.parametrize(
    ("text", "is_french"),
    [("!aide", True), ("Oublie !", True), ("/arrête", True), ("!help", False), ("!sources", False)],
)
def test_some_names_show_that_a_person_speaks_french(text: str, is_french: bool) -> None:
    assert is_french_command(text) is is_french

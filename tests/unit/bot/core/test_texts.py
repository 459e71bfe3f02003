"""Every language says the same things, and the code says only what the languages know."""

import ast
import string
from pathlib import Path

import pytest

import adapters
import bot
from bot.core.texts import LANGUAGES, Language, load_texts, localize

ROOMS = [Path(room.__file__).parent for room in (bot, adapters)]
"""Whose code says sentences to people."""
BUILT_KEYS = ("help_", "reindex_")
"""Keys that are put together from a command's name or a phase."""


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys_and_placeholders(language: Language) -> None:
    reference = load_texts("en")
    assert {key: fields(text) for key, text in load_texts(language).items()} == {
        key: fields(text) for key, text in reference.items()
    }


def test_languages_differ() -> None:
    same = [key for key, text in load_texts("en").items() if load_texts("fr")[key] == text]
    assert same == ["source_line"]


def used_keys() -> set[str]:
    strings = {
        node.value
        for room in ROOMS
        for path in room.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return strings & load_texts("en").keys()


def test_no_text_is_without_use() -> None:
    unused = load_texts("en").keys() - used_keys()
    assert {key for key in unused if not key.startswith(BUILT_KEYS)} == set()


def test_what_is_filled_in_is_not_read_as_a_template() -> None:
    assert "{limit}" in localize("attachment_unread", "en", name="{limit}", reason="it is empty.")

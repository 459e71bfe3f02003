"""Every language says the same things, and the code only what the languages know: the core's and each platform's."""

import ast
import string
from collections.abc import Iterable
from pathlib import Path

import pytest

import adapters
import bot
from bot.core.texts import CORE_TEXTS, LANGUAGES, Language, Texts, localize
from bot.platforms import load_platforms

ROOMS = [Path(room.__file__).parent for room in (bot, adapters)]
"""Whose code says sentences to people."""
BUILT_KEYS = ("help_", "left_out_", "reindex_", "small_talk_")
"""Keys that are put together from a command's name, a cause, a phase or a kind of small talk."""
PLATFORM_TEXTS = {each.name: each.texts for each in load_platforms().platforms if each.texts}
ALL_TEXTS = {"core": CORE_TEXTS, **PLATFORM_TEXTS}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("texts", ALL_TEXTS.values(), ids=ALL_TEXTS)
def test_every_language_has_the_same_keys_and_placeholders(texts: Texts, language: Language) -> None:
    reference = texts.own_texts("en")
    assert reference
    assert {key: fields(text) for key, text in texts.own_texts(language).items()} == {
        key: fields(text) for key, text in reference.items()
    }


def test_languages_differ() -> None:
    same = [
        key
        for texts in ALL_TEXTS.values()
        for key, text in texts.own_texts("en").items()
        if texts.own_texts("fr")[key] == text
    ]
    assert same == ["source_line"]


def used_strings(rooms: Iterable[Path]) -> set[str]:
    return {
        node.value
        for room in rooms
        for path in room.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_no_text_is_without_use() -> None:
    unused = CORE_TEXTS.own_texts("en").keys() - used_strings(ROOMS)
    assert {key for key in unused if not key.startswith(BUILT_KEYS)} == set()


@pytest.mark.parametrize("name", PLATFORM_TEXTS)
def test_no_text_of_a_platform_is_without_use_in_its_folder(name: str) -> None:
    folder = Path(adapters.__file__).parent / name
    assert PLATFORM_TEXTS[name].own_texts("en").keys() - used_strings([folder]) == set()


def test_no_two_owners_have_the_same_key() -> None:
    keys = [key for texts in ALL_TEXTS.values() for key in texts.own_texts("en")]
    assert len(keys) == len(set(keys))


def test_a_platform_says_the_sentences_of_the_core_too() -> None:
    for texts in PLATFORM_TEXTS.values():
        assert texts.localize("stopped", "fr") == localize("stopped", "fr")


def test_what_is_filled_in_is_not_read_as_a_template() -> None:
    assert "{limit}" in localize("attachment_unread", "en", name="{limit}", reason="it is empty.")

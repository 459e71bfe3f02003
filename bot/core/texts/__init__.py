"""Hearth's own sentences for people, by language."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, cast, get_args

import yaml

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LANGUAGE_NAMES: Mapping[Language, str] = {"en": "English", "fr": "French"}
"""Names of the languages in prompts, which are in English."""


@cache
def load_texts(language: Language) -> Mapping[str, str]:
    """All texts of a language by key."""
    content = files(__package__).joinpath(f"{language}.yaml").read_text(encoding="utf-8")
    return cast(Mapping[str, str], yaml.safe_load(content))


def localize(key: str, language: Language, /, **values: object) -> str:
    """The text of a key in a language, with its `{placeholders}` filled in."""
    return load_texts(language)[key].format(**values).rstrip()

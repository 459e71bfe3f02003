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


class Texts:
    """The sentences in the folder of a package: `en.yaml` and `fr.yaml`, each with the same keys.

    A key that is not there is looked up in `base`, so that a platform can use the core's sentences too.
    """

    def __init__(self, package: str, base: "Texts | None" = None) -> None:
        self._package = package
        self._base = base

    def own_texts(self, language: Language) -> Mapping[str, str]:
        """The texts of a language by key, without those of `base`."""
        return _load_texts(self._package, language)

    def localize(self, key: str, language: Language, /, **values: object) -> str:
        """The text of a key in a language, with its `{placeholders}` filled in."""
        texts = self.own_texts(language)
        if key not in texts and self._base is not None:
            return self._base.localize(key, language, **values)
        return texts[key].format(**values).rstrip()


@cache
def _load_texts(package: str, language: Language) -> Mapping[str, str]:
    content = files(package).joinpath(f"{language}.yaml").read_text(encoding="utf-8")
    return cast(Mapping[str, str], yaml.safe_load(content))


CORE_TEXTS = Texts(__package__)
"""The sentences of the core."""
localize = CORE_TEXTS.localize

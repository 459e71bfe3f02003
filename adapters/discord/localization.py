"""The names and sentences of commands and buttons, in the language of the person who reads them."""

import discord
from discord import app_commands

from adapters.discord.texts import localize
from bot.core.texts import LANGUAGES, Language

TEXT_KEY = "hearth"
"""Under which a name keeps the key of its text, so that another bot's translator finds nothing of its own in it."""


def language_of(locale: discord.Locale | str | None) -> Language:
    """The language Hearth has for a locale of Discord, such as `fr` or `en-GB`; English for all others."""
    spoken = str(locale or "").partition("-")[0]
    return next((language for language in LANGUAGES if language == spoken), "en")


def localized(key: str) -> app_commands.locale_str:
    """A text as a command's name or description: in English, translated when the commands are handed to Discord."""
    return app_commands.locale_str(localize(key, "en"), **{TEXT_KEY: key})


class CommandTranslator(app_commands.Translator):
    """Translates what `localized` made, and nothing else."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """The text in a locale; None where the English one stays."""
        key, language = string.extras.get(TEXT_KEY), language_of(locale)
        return localize(key, language) if key and language != "en" else None

"""Localized names and descriptions of commands and buttons."""

import discord
from discord import app_commands

from adapters.discord.texts import localize
from bot.core.texts import LANGUAGES, Language

TEXT_KEY = "hearth"
"""The extra that holds the text key of a name; a translator of another bot finds none of its own keys in it."""


def language_of(locale: discord.Locale | str | None) -> Language:
    """Hearth's language for a locale of Discord, such as `fr` or `en-GB`; English for all others."""
    spoken = str(locale or "").partition("-")[0]
    return next((language for language in LANGUAGES if language == spoken), "en")


def localized(key: str) -> app_commands.locale_str:
    """A text as a command's name or description: in English, translated when the commands are registered."""
    return app_commands.locale_str(localize(key, "en"), **{TEXT_KEY: key})


class CommandTranslator(app_commands.Translator):
    """Translates the texts of `localized`, and no others."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """The text in a locale; None to keep the English one."""
        key, language = string.extras.get(TEXT_KEY), language_of(locale)
        return localize(key, language) if key and language != "en" else None

"""Selects the language of Hearth's own sentences in a conversation."""

import logging
from typing import Literal

from bot.core.command_names import is_french_command
from bot.core.history import History
from bot.core.messages import ConversationId, Message
from bot.core.small_talk import recognize_small_talk
from bot.core.texts import LANGUAGES, Language
from knowledge.languages import guess_language
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable

log = logging.getLogger(__name__)

DEFAULT_LANGUAGE: Language = "en"


class LanguageSelector:
    """Selects the configured language, or that of the conversation's first clear message, which is then stored."""

    def __init__(self, history: History, configured: Literal["auto"] | Language) -> None:
        self._history = history
        self._configured = configured

    async def language_for(self, message: Message) -> Language:
        """The language of the reply to a message."""
        if self._configured != "auto":
            return self._configured
        if (known := await self._history.conversation_language(message.conversation)) is not None:
            return known
        if (small_talk := recognize_small_talk(message.text)) is not None and small_talk.language is not None:
            return small_talk.language  # not stored: a "hello" is no proof of a language
        if is_french_command(message.text):
            return "fr"
        if (guessed := detect_language(message.text)) is None:
            return language_of_locale(message.locale)
        await self._store_language(message, guessed)
        return guessed

    async def look_up(self, conversation: ConversationId, locale: str, text: str = "") -> Language:
        """The language that a reply to a text would have; stores nothing, and needs no readable history."""
        if self._configured != "auto":
            return self._configured
        try:
            known = await self._history.conversation_language(conversation)
        except (DatabaseDamaged, DatabaseUnusable) as error:
            log.warning("Could not look up the language of %s: %s", conversation, error)
            known = None
        return known or detect_language(text) or language_of_locale(locale)

    async def _store_language(self, message: Message, language: Language) -> None:
        try:
            await self._history.set_language(message.conversation, language)
        except (DatabaseDamaged, DatabaseUnusable) as error:  # a full disk must not suppress the reply that reports it
            log.warning("Could not store the language of %s: %s", message.conversation, error)


def language_of_locale(locale: str) -> Language:
    """Hearth's language for a locale, such as `fr` or `en-GB`; English for all others."""
    spoken = locale.replace("_", "-").partition("-")[0].casefold()
    return next((language for language in LANGUAGES if language == spoken), DEFAULT_LANGUAGE)


def detect_language(text: str) -> Language | None:
    """The language of a text, if it is clear and one of Hearth's; else None."""
    guessed = guess_language(text[:500], among=LANGUAGES)
    return next((language for language in LANGUAGES if language == guessed), None)

"""In which language Hearth's own sentences are said in a conversation."""

import logging
from typing import Literal

from bot.core.history import History
from bot.core.messages import Message
from bot.core.texts import LANGUAGES, Language
from knowledge.languages import guess_language
from knowledge.sqlite import DatabaseDamaged, DatabaseUnusable

log = logging.getLogger(__name__)

DEFAULT_LANGUAGE: Language = "en"


class LanguageSelector:
    """The configured language, or that of a conversation's first clear message, which then stays."""

    def __init__(self, history: History, configured: Literal["auto"] | Language) -> None:
        self._history = history
        self._configured = configured

    async def language_for(self, message: Message) -> Language:
        """The language to speak to a message's author in."""
        if self._configured != "auto":
            return self._configured
        if (known := await self._history.conversation_language(message.conversation)) is not None:
            return known
        if (guessed := detect_language(message.text)) is None:
            return DEFAULT_LANGUAGE
        await self._remember(message, guessed)
        return guessed

    async def _remember(self, message: Message, language: Language) -> None:
        try:
            await self._history.set_language(message.conversation, language)
        except (DatabaseDamaged, DatabaseUnusable) as error:  # a full disk must not silence the sentence that says so
            log.warning("The language of %s is not remembered: %s", message.conversation, error)


def detect_language(text: str) -> Language | None:
    """The language of a text, among those that Hearth speaks; None when it is not clear."""
    guessed = guess_language(text[:500], among=LANGUAGES)
    return next((language for language in LANGUAGES if language == guessed), None)

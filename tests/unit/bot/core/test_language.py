"""The language of Hearth's own sentences."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.core.history import History
from bot.core.language import LanguageSelector, language_of_locale
from bot.core.messages import Audience, ConversationId, Message, Person

KITCHEN = ConversationId("test:kitchen")
FRENCH = "Où se trouve la clé du local technique, s'il vous plaît ?"


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    opened = await History.open(tmp_path / "history.sqlite3")
    yield opened
    await opened.close()


def said(text: str, locale: str = "") -> Message:
    audience = Audience(frozenset({str(KITCHEN)}))
    person = Person("test:ana", "Ana")
    return Message(KITCHEN, "1", person, text, addressed=True, audience=audience, sent_at=0.0, locale=locale)


async def test_the_configured_language_comes_first(history: History) -> None:
    selector = LanguageSelector(history, "fr")
    assert await selector.language_for(said("Where is the backup drive, please?", "en-GB")) == "fr"
    assert await selector.look_up(KITCHEN, "en-GB", "Where is the backup drive?") == "fr"


async def test_then_the_conversations_then_the_texts_then_the_locales(history: History) -> None:
    selector = LanguageSelector(history, "auto")
    assert await selector.language_for(said("42?", "fr")) == "fr"
    assert await selector.look_up(KITCHEN, "fr") == "fr"
    assert await selector.look_up(KITCHEN, "en-US", FRENCH) == "fr"
    assert await selector.look_up(KITCHEN, "en-US") == "en"  # looking it up stored nothing
    assert await selector.language_for(said(FRENCH, "en-US")) == "fr"
    assert await selector.look_up(KITCHEN, "en-US", "Where is the backup drive, please?") == "fr"
    assert await selector.language_for(said("42?", "en-US")) == "fr"


@pytest.mark.parametrize(
    ("locale", "language"), [("fr", "fr"), ("fr-CA", "fr"), ("FR_ch", "fr"), ("en-GB", "en"), ("de", "en"), ("", "en")]
)
def test_a_locale_names_a_language(locale: str, language: str) -> None:
    assert language_of_locale(locale) == language

"""Small talk is recognized as a whole: a question that begins with a greeting stays a question."""

import pytest

from bot.core.small_talk import SmallTalk, recognize_small_talk

GREETING, THANKS, FAREWELL, ABOUT = "greeting", "thanks", "farewell", "about"


@pytest.mark.parametrize(
    ("text", "kind", "language"),
    [
        ("Hello!", GREETING, "en"),
        ("hi", GREETING, "en"),
        ("Hi there :)", GREETING, "en"),
        ("HELLO HEARTH", GREETING, "en"),
        ("Good morning, everyone!", GREETING, "en"),
        ("Hello, how are you?", GREETING, "en"),
        ("are you there?", GREETING, "en"),
        ("👋", GREETING, None),
        ("Hearth?", GREETING, None),
        ("Hallo!", GREETING, None),
        ("¡Hola!", GREETING, None),
        ("Bonjour", GREETING, "fr"),
        ("Bonjour Hearth !", GREETING, "fr"),
        ("salut, ça va ?", GREETING, "fr"),
        ("Bonsoir à tous", GREETING, "fr"),
        ("Thanks", THANKS, "en"),
        ("thank you so much!!", THANKS, "en"),
        ("Ok great, thanks for your help.", THANKS, "en"),
        ("Merci", THANKS, "fr"),
        ("Merci beaucoup pour ton aide", THANKS, "fr"),
        ("parfait, merci !", THANKS, "fr"),
        ("🙏", THANKS, None),
        ("Danke", THANKS, None),
        ("Bye bye", FAREWELL, "en"),
        ("Thanks, good night", THANKS, "en"),
        ("À bientôt !", FAREWELL, "fr"),
        ("Bonne soirée", FAREWELL, "fr"),
        ("What can you do?", ABOUT, "en"),
        ("Hello! What can you do?", ABOUT, "en"),
        ("who are you", ABOUT, "en"),
        ("What’s your name?", ABOUT, "en"),
        ("Can you help me?", ABOUT, "en"),
        ("Que peux-tu faire ?", ABOUT, "fr"),
        ("Qu’est-ce que tu sais faire ?", ABOUT, "fr"),
        ("Qui es-tu ?", ABOUT, "fr"),
        ("Comment t'appelles-tu ?", ABOUT, "fr"),
        ("Bonjour, à quoi sers-tu ?", ABOUT, "fr"),
        ("A\u0300 biento\u0302t", FAREWELL, "fr"),
    ],
)
def test_what_is_only_small_talk_is_recognized_with_its_language(text: str, kind: str, language: str | None) -> None:
    assert recognize_small_talk(text, "Hearth") == SmallTalk(kind, language)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "ok",
        "yes",
        "great",
        "Hello, where is the backup drive?",
        "Hi! Which day is the bin collected?",
        "Thanks. And where is the key?",
        "thanks, but that is wrong",
        "Bonjour, où est le disque de sauvegarde ?",
        "Merci, et la clé de la cave ?",
        "Can you help me with the boiler?",
        "help me find the key",
        "Who are you going to call when the boiler leaks?",
        "What do you know about the boiler?",
        "What can you do about a leaking tap?",
        "What can we do in the garden today?",
        "Que peux-tu me dire de la chaudière ?",
        "Qui es-tu allé voir ?",
        "How do you work the oven?",
        "hello world",
        "Comment ça marche ?",
        "Who is this?",
        "Hearth?!" * 5,
        "Where do we say thanks to Ana?",
        "bonjour tristesse",
        "👋 where is the drive?",
        "thanks " * 40,
    ],
)
def test_anything_else_is_a_question(text: str) -> None:
    assert recognize_small_talk(text, "Hearth") is None


def test_the_assistants_own_name_may_stand_in_small_talk() -> None:
    assert recognize_small_talk("Hello Jarvis", "Jarvis") == SmallTalk("greeting", "en")
    assert recognize_small_talk("Hello Jarvis", "Hearth") is None

"""Names and texts of people as they are read: without characters that are invisible or turn the writing around."""

import re

from bot.core.foreign_text import INVISIBLE, MAX_NAME_CHARACTERS

LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def clean_name(name: str) -> str:
    """A name in one line. In prompts names come before messages, as in `Name: words`: a colon in a name could fake
    another speaker.
    """
    return " ".join(INVISIBLE.sub("", name).replace(":", " ").split())[:MAX_NAME_CHARACTERS].strip()


def clean_text(text: str) -> str:
    """A text with plain line breaks and without invisible characters."""
    return INVISIBLE.sub("", LINE_BREAK.sub("\n", text))

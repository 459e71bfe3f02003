"""Names and texts of people as they are read: without characters that are invisible or turn the writing around."""

import re

NAME_CHARACTERS = 80
"""Longest name in a prompt."""

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
"""Characters that are invisible or change the direction of text, so that only a model would read them. Joiners stay:
scripts and emoji need them.
"""

LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def clean_name(name: str) -> str:
    """A name in one line. In prompts names come before messages, as in `Name: words`: a colon in a name could fake
    another speaker.
    """
    return " ".join(INVISIBLE.sub("", name).replace(":", " ").split())[:NAME_CHARACTERS].strip()


def clean_text(text: str) -> str:
    """A text with plain line breaks and without invisible characters."""
    return INVISIBLE.sub("", LINE_BREAK.sub("\n", text))

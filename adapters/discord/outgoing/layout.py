"""Messages of a reply on Discord: their length, buttons, pictures and small print."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from discord.utils import escape_markdown

from adapters.delivery.citations import citation_footer
from bot.core.messages import Attachment, Source

SUBTEXT = "-# "
"""Makes a line of a message small."""

ButtonSet = Literal["none", "running", "ended"]
"""The buttons under a message: none, those of a running answer, or those of a finished one."""


@dataclass(frozen=True, slots=True)
class DiscordPart:
    """The intended state of one message."""

    text: str
    buttons: ButtonSet = "none"
    pictures: tuple[Attachment, ...] = ()


def utf16_length(text: str) -> int:
    """The length of a text in UTF-16 units, the strictest count: characters outside the first plane count twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def subtext_footer(note: str, sources: Sequence[Source]) -> str:
    """The note and the sources of an answer as small lines; empty without either."""
    return citation_footer(note, sources, SUBTEXT, escape_markdown)

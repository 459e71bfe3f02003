"""Shows what an answer rests on in small lines."""

from collections.abc import Sequence

from discord.utils import escape_markdown

from adapters.delivery import citations as lines
from bot.core.messages import Source

SUBTEXT = "-# "
"""What makes a line of a message small."""


def subtext_footer(note: str, sources: Sequence[Source]) -> str:
    """The note and the sources of an answer as small lines; empty without either."""
    return lines.citation_footer(note, sources, SUBTEXT, escape_markdown)

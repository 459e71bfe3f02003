"""Shows what an answer rests on: one small line for each source."""

from collections.abc import Sequence

from discord.utils import escape_markdown

from bot.core.events import Source
from knowledge.passages import Place

TITLE_CHARACTERS = 120
SMALL = "-# "
"""What makes a line of a message small."""


def footer(note: str, sources: Sequence[Source]) -> str:
    """The note and the sources of an answer as small lines; empty without either."""
    noted = [SMALL + " ".join(note.split())] if note.strip() else []
    return "\n".join([*noted, *(SMALL + line(source) for source in sources)])


def line(source: Source) -> str:
    """A source's number, title, place and collection."""
    title = _shortened(source.title or source.document)
    where = [title, *_place(source.place)]
    collection = f" ({_shortened(source.collection)})" if source.collection else ""
    return f"[{source.number}] {' › '.join(where)}{collection}"


def _place(place: Place) -> list[str]:
    parts = [_shortened(place.heading[-1])] if place.heading else []
    if place.page is not None:
        parts.append(f"p. {place.page}")
    return parts


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    cut = text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"
    return escape_markdown(cut)

"""Shows what an answer rests on: one line for each source."""

from collections.abc import Sequence

from bot.core.events import Source
from knowledge.passages import Place

TITLE_CHARACTERS = 120


def footer(note: str, sources: Sequence[Source]) -> str:
    """The note and the sources of an answer as lines of plain text; empty without either."""
    noted = [" ".join(note.split())] if note.strip() else []
    return "\n".join([*noted, *(line(source) for source in sources)])


def line(source: Source) -> str:
    """A source's number, title, place and collection."""
    where = [_shortened(source.title or source.document), *_place(source.place)]
    collection = f" ({_shortened(source.collection)})" if source.collection else ""
    return f"[{source.number}] {' › '.join(where)}{collection}"


def _place(place: Place) -> list[str]:
    parts = [_shortened(place.heading[-1])] if place.heading else []
    if place.page is not None:
        parts.append(f"p. {place.page}")
    return parts


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"

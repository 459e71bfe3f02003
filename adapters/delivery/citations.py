"""Footer of an answer: its note and one line for each source."""

from collections.abc import Callable, Sequence

from bot.core.messages import Source
from knowledge.passages import PassageLocation

TITLE_CHARACTERS = 120

EscapeMarkup = Callable[[str], str]


def citation_footer(note: str, sources: Sequence[Source], mark: str = "", escape: EscapeMarkup = str) -> str:
    """The note and the sources of an answer, each line with the platform's `mark` before it; empty without either.

    `escape` keeps names of documents from being read as the platform's markup.
    """
    noted = [" ".join(note.split())] if note.strip() else []
    return "\n".join(mark + each for each in [*noted, *(citation_line(source, escape) for source in sources)])


def citation_line(source: Source, escape: EscapeMarkup = str) -> str:
    """A source's number, title, place and collection."""
    where = [_shortened(source.title or source.document), *_place_parts(source.place)]
    collection = f" ({escape(_shortened(source.collection))})" if source.collection else ""
    return f"[{source.number}] {' › '.join(map(escape, where))}{collection}"


def _place_parts(place: PassageLocation) -> list[str]:
    parts = [_shortened(place.heading[-1])] if place.heading else []
    if place.page is not None:
        parts.append(f"p. {place.page}")
    return parts


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"

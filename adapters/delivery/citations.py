"""Footer of an answer: its note and one line for each source."""

from collections.abc import Callable, Sequence

from bot.core.messages import Source
from knowledge.passages import PassageLocation

TITLE_CHARACTERS = 120

EscapeMarkup = Callable[[str], str]


def citation_footer(note: str, sources: Sequence[Source], prefix: str = "", escape: EscapeMarkup = str) -> str:
    """The note and the sources of an answer, each line after the platform's `prefix`; empty when there is neither.

    `escape` keeps names of documents from being read as the platform's markup.
    """
    note_lines = [" ".join(note.split())] if note.strip() else []
    return "\n".join(prefix + line for line in [*note_lines, *(citation_line(source, escape) for source in sources)])


def citation_line(source: Source, escape: EscapeMarkup = str) -> str:
    """A source's number, title, location and collection."""
    parts = [_shortened(source.title or source.document), *_location_parts(source.place)]
    collection = f" ({escape(_shortened(source.collection))})" if source.collection else ""
    return f"[{source.number}] {' › '.join(map(escape, parts))}{collection}"


def _location_parts(location: PassageLocation) -> list[str]:
    parts = [_shortened(location.heading[-1])] if location.heading else []
    if location.page is not None:
        parts.append(f"p. {location.page}")
    return parts


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TITLE_CHARACTERS else text[: TITLE_CHARACTERS - 1] + "…"

"""Layout of a growing text on messages of limited size, with a footer below the last one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.delivery.splitting import TextMeasure, TextSplitter


@dataclass(frozen=True, slots=True)
class LayoutPage:
    """One message: a piece of the text in Markdown, and plain lines below it."""

    text: str
    below: str = ""


class MessageLayout:
    """The messages of one reply; while its text grows, all but the last stay as they are."""

    def __init__(self, limit: int, measure: TextMeasure, max_line_characters: int, *, spoilers: bool = False) -> None:
        """`max_line_characters` caps the lines of a footer that fills messages of its own; `spoilers`: two bars hide
        the text between them.
        """
        self._limit = limit
        self._measure = measure
        self._max_line_characters = max_line_characters
        self._splitter = TextSplitter(limit, measure, spoilers=spoilers)

    def split_pages(self, text: str, below: str = "") -> list[LayoutPage]:
        """The messages, in order. `below` goes under the last piece, or into further messages if it must."""
        pages = [LayoutPage(part.full_text) for part in self._splitter.split_text(text) if not part.is_blank]
        return self._with_footer(pages, below) if below.strip() else pages

    def _with_footer(self, pages: Sequence[LayoutPage], below: str) -> list[LayoutPage]:
        if pages and self._measure(f"{pages[-1].text}\n\n{below}") <= self._limit:
            return [*pages[:-1], replace(pages[-1], below=below)]
        return [*pages, *(LayoutPage("", lines) for lines in self._pack_lines(below))]

    def _pack_lines(self, text: str) -> list[str]:
        """Lines gathered into messages; no line of ours is nearly as long as a message."""
        gathered: list[str] = []
        for line in text.split("\n"):
            if gathered and self._measure(f"{gathered[-1]}\n{line}") <= self._limit:
                gathered[-1] += f"\n{line}"
            else:
                gathered.append(line[: self._max_line_characters])
        return gathered

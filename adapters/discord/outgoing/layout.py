"""Lays the text of an answer out on messages: pieces of at most Discord's length, and what goes below them."""

from collections.abc import Sequence

from adapters.delivery.splitting import TextSplitter
from adapters.discord.limits import CONTENT_CHARACTERS


def utf16_length(text: str) -> int:
    """The length of a text as its strictest reader may count it: characters outside the first plane count twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class DiscordLayout:
    """The messages of one answer; while its text grows, all but the last stay as they are."""

    def __init__(self) -> None:
        self._splitter = TextSplitter(CONTENT_CHARACTERS, utf16_length)

    def split_pages(self, text: str, below: str = "") -> list[str]:
        """The texts of the messages, in order. `below` follows the last piece, in a message of its own if it must."""
        shown = [part.full_text for part in self._splitter.split_text(text) if not part.is_blank]
        return _with_below(shown, below) if below else shown


def _with_below(shown: Sequence[str], below: str) -> list[str]:
    if shown and utf16_length(shown[-1]) + utf16_length(below) + 2 <= CONTENT_CHARACTERS:
        return [*shown[:-1], f"{shown[-1]}\n\n{below}"]
    return [*shown, *_pack_lines(below)]


def _pack_lines(text: str) -> list[str]:
    """Lines gathered into messages; no line of ours is nearly as long as a message."""
    gathered: list[str] = []
    for line in text.split("\n"):
        if gathered and utf16_length(gathered[-1]) + 1 + utf16_length(line) <= CONTENT_CHARACTERS:
            gathered[-1] += f"\n{line}"
        else:
            gathered.append(line[: CONTENT_CHARACTERS // 2])
    return gathered

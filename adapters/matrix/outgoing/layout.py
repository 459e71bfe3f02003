"""Lays the text of an answer out on messages that fit into an event, edited and encrypted, and what goes below them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.delivery.splitting import TextSplitter
from adapters.matrix.limits import TEXT_COPIES, TEXT_COPIES_BYTES

PAGE_COST_LIMIT = TEXT_COPIES_BYTES // TEXT_COPIES
"""The longest message, in units."""

# Bytes of HTML that Markdown makes of a character, at most in what people and models write; what goes beyond is sent
# without HTML. Of a paragraph's two line ends, of the two marks around a word, each has its share.
_HTML_BYTES = {
    "\n": 14, '"': 6, "&": 5, "<": 4, ">": 12, "*": 5, "_": 5, "~": 5, "`": 7, "|": 14, "[": 9, "]": 9, "-": 4, "+": 4,
}  # fmt: skip


def _byte_cost(byte: int) -> int:
    character = chr(byte)
    plain = 2 if character in '\n\r\t"\\' else 6 if byte < 0x20 else 1
    shown = _HTML_BYTES.get(character, plain)
    return -(-((TEXT_COPIES - 1) * plain + shown) // TEXT_COPIES)


# Beyond ASCII a byte is a byte in every copy.
_BYTE_COSTS = bytes(_byte_cost(byte) if byte < 0x80 else 1 for byte in range(256))


def edit_cost(text: str) -> int:
    """What a text costs in an edit: the bytes of its copies, divided by their number."""
    return sum(text.encode("utf-8", "surrogatepass").translate(_BYTE_COSTS))


@dataclass(frozen=True, slots=True)
class LayoutPage:
    """One message: a piece of the answer in Markdown, and plain lines below it."""

    text: str
    below: str = ""


class MatrixLayout:
    """The messages of one answer; while its text grows, all but the last stay as they are."""

    def __init__(self) -> None:
        self._splitter = TextSplitter(PAGE_COST_LIMIT, edit_cost)

    def split_pages(self, text: str, below: str = "") -> list[LayoutPage]:
        """The messages, in order. `below` is under the last piece, in a message of its own if it must."""
        shown = [LayoutPage(part.full_text) for part in self._splitter.split_text(text) if not part.is_blank]
        return _with_below(shown, below) if below.strip() else shown


def _with_below(shown: Sequence[LayoutPage], below: str) -> list[LayoutPage]:
    if shown and edit_cost(shown[-1].text) + edit_cost(below) + 2 * edit_cost("\n") <= PAGE_COST_LIMIT:
        return [*shown[:-1], replace(shown[-1], below=below)]
    return [*shown, *(LayoutPage("", lines) for lines in _pack_lines(below))]


def _pack_lines(text: str) -> list[str]:
    """Lines gathered into messages; no line of ours is nearly as long as a message."""
    gathered: list[str] = []
    for line in text.split("\n"):
        if gathered and edit_cost(gathered[-1]) + edit_cost("\n") + edit_cost(line) <= PAGE_COST_LIMIT:
            gathered[-1] += f"\n{line}"
        else:
            gathered.append(line[: PAGE_COST_LIMIT // 6])
    return gathered

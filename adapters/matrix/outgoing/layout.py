"""Lays the text of an answer out on messages that fit into an event, edited and encrypted, and what goes below them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.delivery.splitting import Splitter
from adapters.matrix.limits import COPIES, SAID_BYTES

LIMIT = SAID_BYTES // COPIES
"""The longest message, in units."""

# Bytes of HTML that Markdown makes of a character, at most in what people and models write; what goes beyond is sent
# without HTML. Of a paragraph's two line ends, of the two marks around a word, each has its share.
_HTML_BYTES = {
    "\n": 14, '"': 6, "&": 5, "<": 4, ">": 12, "*": 5, "_": 5, "~": 5, "`": 7, "|": 14, "[": 9, "]": 9, "-": 4, "+": 4,
}  # fmt: skip


def _weight(byte: int) -> int:
    character = chr(byte)
    plain = 2 if character in '\n\r\t"\\' else 6 if byte < 0x20 else 1
    shown = _HTML_BYTES.get(character, plain)
    return -(-((COPIES - 1) * plain + shown) // COPIES)


# Beyond ASCII a byte is a byte in every copy.
_WEIGHTS = bytes(_weight(byte) if byte < 0x80 else 1 for byte in range(256))


def units(text: str) -> int:
    """What a text costs in an edit: the bytes of its copies, divided by their number."""
    return sum(text.encode("utf-8", "surrogatepass").translate(_WEIGHTS))


@dataclass(frozen=True, slots=True)
class Page:
    """One message: a piece of the answer in Markdown, and plain lines below it."""

    text: str
    below: str = ""


class Layout:
    """The messages of one answer; while its text grows, all but the last stay as they are."""

    def __init__(self) -> None:
        self._splitter = Splitter(LIMIT, units)

    def pages(self, text: str, below: str = "") -> list[Page]:
        """The messages, in order. `below` is under the last piece, in a message of its own if it must."""
        shown = [Page(part.shown) for part in self._splitter.split(text) if not part.blank]
        return _with_below(shown, below) if below.strip() else shown


def _with_below(shown: Sequence[Page], below: str) -> list[Page]:
    if shown and units(shown[-1].text) + units(below) + 2 * units("\n") <= LIMIT:
        return [*shown[:-1], replace(shown[-1], below=below)]
    return [*shown, *(Page("", lines) for lines in _gathered(below))]


def _gathered(text: str) -> list[str]:
    """Lines gathered into messages; no line of ours is nearly as long as a message."""
    gathered: list[str] = []
    for line in text.split("\n"):
        if gathered and units(gathered[-1]) + units("\n") + units(line) <= LIMIT:
            gathered[-1] += f"\n{line}"
        else:
            gathered.append(line[: LIMIT // 6])
    return gathered

"""Messages of a reply on Matrix, each of which fits into an event, also edited and encrypted."""

from dataclasses import dataclass

from adapters.delivery.message_layout import MessageLayout
from adapters.matrix.limits import TEXT_COPIES, TEXT_COPIES_BYTES
from bot.core.messages import Attachment

PAGE_COST_LIMIT = TEXT_COPIES_BYTES // TEXT_COPIES
"""The longest message, in units."""

# Bytes of HTML that Markdown makes of a character, at most in common texts; a message beyond that is sent without HTML.
# The cost of a paragraph or of an emphasis is divided over its two line ends or delimiters.
_HTML_BYTES = {
    "\n": 14, '"': 6, "&": 5, "<": 4, ">": 12, "*": 5, "_": 5, "~": 5, "`": 7, "|": 14, "[": 9, "]": 9, "-": 4, "+": 4,
}  # fmt: skip


def _byte_cost(byte: int) -> int:
    character = chr(byte)
    plain = 2 if character in '\n\r\t"\\' else 6 if byte < 0x20 else 1
    rendered = _HTML_BYTES.get(character, plain)
    return -(-((TEXT_COPIES - 1) * plain + rendered) // TEXT_COPIES)


# Beyond ASCII a byte is a byte in every copy.
_BYTE_COSTS = bytes(_byte_cost(byte) if byte < 0x80 else 1 for byte in range(256))


def edit_cost(text: str) -> int:
    """The cost of a text in an edit: the bytes of its copies, divided by their number."""
    return sum(text.encode("utf-8", "surrogatepass").translate(_BYTE_COSTS))


@dataclass(frozen=True, slots=True)
class MatrixPart:
    """The intended state of one message: Markdown and plain lines below it, which may be `small`; or a picture.

    `notice`: it is no answer, and bots should not reply to it. `first`: it is the first message of the reply.
    """

    text: str
    below: str = ""
    small: bool = False
    notice: bool = False
    first: bool = False
    picture: Attachment | None = None


def matrix_layout() -> MessageLayout:
    """The layout of one reply."""
    return MessageLayout(PAGE_COST_LIMIT, edit_cost, PAGE_COST_LIMIT // 6)

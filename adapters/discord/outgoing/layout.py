"""Layout of a reply on Discord's messages: text of at most Discord's length, small print, buttons and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from discord.utils import escape_markdown

from adapters.delivery.citations import citation_footer
from adapters.delivery.message_layout import MessageLayout
from adapters.delivery.reply_transport import ReplyContent, ReplyPages
from adapters.discord.limits import CONTENT_CHARACTERS
from bot.core.messages import Attachment, Source

SUBTEXT = "-# "
"""Makes a line of a message small."""

ButtonSet = Literal["none", "running", "ended"]
"""The buttons under a message: none, those of an answer in the making, or those of a finished one."""


@dataclass(frozen=True, slots=True)
class DiscordPart:
    """A message as it should be."""

    text: str
    buttons: ButtonSet = "none"
    pictures: tuple[Attachment, ...] = ()


class DiscordLayout(MessageLayout):
    """The messages of one reply, held to Discord's length."""

    def __init__(self) -> None:
        super().__init__(CONTENT_CHARACTERS, utf16_length, CONTENT_CHARACTERS // 2)

    def lay_out(self, content: ReplyContent) -> ReplyPages[DiscordPart]:
        """The messages, in order; buttons and pictures are under the last one."""
        below = subtext_footer(content.note, content.sources) if content.has_small_print else content.note
        texts = [
            "\n\n".join(piece for piece in (page.text, page.below) if piece)
            for page in self.split_pages(content.text, below)
        ]
        buttons: ButtonSet = "none" if not content.is_answer else "ended" if content.has_ended else "running"
        last = [DiscordPart(text, buttons, tuple(content.pictures)) for text in texts[-1:]]
        return ReplyPages([*map(DiscordPart, texts[:-1]), *last])


def utf16_length(text: str) -> int:
    """The length of a text as its strictest reader may count it: characters outside the first plane count twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def subtext_footer(note: str, sources: Sequence[Source]) -> str:
    """The note and the sources of an answer as small lines; empty without either."""
    return citation_footer(note, sources, SUBTEXT, escape_markdown)

"""Recognises mentions of the bot: stated ones, links to it, its full id, its name, and a text that begins with it.
Pure.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from adapters.matrix.incoming.parsed_message import ParsedMessage
from adapters.matrix.incoming.pills import find_pills, linked_users

CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]++`", re.S)
"""Code in a text; that which is never closed goes to the end."""

HTML_CODE = re.compile(r"<(code|pre)\b[^<>]*+>.*?(?:</\1>|\Z)", re.I | re.S)
"""Code in formatted text."""


@dataclass(frozen=True)
class BotIdentity:
    """The bot's full id, and its display name, which is empty where it has none."""

    user_id: str
    name: str = ""

    @property
    def localpart(self) -> str:
        """The id without its server."""
        return self.user_id.removeprefix("@").partition(":")[0]

    @property
    def display_name(self) -> str:
        """The name that people read."""
        return self.name or self.localpart

    @cached_property
    def id_pattern(self) -> re.Pattern[str]:
        """The full id, or its localpart with the @, as a whole word."""
        server = re.escape(self.user_id.partition(":")[2])
        return re.compile(
            rf"(?<![\w@/]){re.escape('@' + self.localpart)}(?::{server}(?!:\d|[.-]\w)|(?!:\w|[.-]\w))(?!\w)", re.I
        )

    @cached_property
    def name_pattern(self) -> re.Pattern[str] | None:
        """The name as a whole word; None for a name of a single character."""
        name = re.escape(self.display_name)
        return re.compile(rf"(?<![\w@-]){name}(?!\w|-\w)|(?<!\w)@{name}(?!\w|[:.-]\w)", re.I) if name[1:] else None

    @cached_property
    def opening_pattern(self) -> re.Pattern[str]:
        """The beginning of a text that calls the bot: its id or its name with an @, or its name and a separator."""
        name = re.escape(self.display_name)
        by_name = rf"|@{name}(?!\w|[:.-]\w)|{name}\s*+[:,](?!//)" if self.display_name[1:] else ""
        return re.compile(rf"\s*+(?:{self.id_pattern.pattern}{by_name})", re.I)


def mentions_bot(message: ParsedMessage, text: str, bot: BotIdentity) -> bool:
    """Whether a message mentions the bot. If it states its mentions, they decide, and otherwise a link to the bot, its
    id or its name in `text`, outside of code. A text that begins with the name, as in `Hearth: where?`, is meant for
    the bot in any case: clients state only the mentions that were picked from their list. `@room` mentions no one in
    particular.
    """
    if bot.opening_pattern.match(text):
        return True
    if message.mentions is not None:
        return bot.user_id in message.mentions
    text = CODE.sub(" ", text)
    formatted = HTML_CODE.sub(" ", message.formatted_body)
    pills = message.pills if formatted == message.formatted_body else find_pills(formatted)
    if bot.user_id in {pill.user_id for pill in pills} or bot.user_id in linked_users(text):
        return True
    return bool(bot.id_pattern.search(text) or (bot.name_pattern and bot.name_pattern.search(text)))

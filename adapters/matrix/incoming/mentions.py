"""Recognises mentions of the bot: stated ones, links to it, its full id, and its name as a whole word. Pure."""

import re
from dataclasses import dataclass
from functools import cached_property

from adapters.matrix.incoming.parsed_message import ParsedMessage
from adapters.matrix.incoming.pills import linked_users


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


def mentions_bot(message: ParsedMessage, text: str, bot: BotIdentity) -> bool:
    """Whether a message mentions the bot. If it states its mentions, they decide; otherwise a link to the bot, its id
    or its name in `text` does. `@room` mentions no one in particular.
    """
    if message.mentions is not None:
        return bot.user_id in message.mentions
    if bot.user_id in {pill.user_id for pill in message.pills} or bot.user_id in linked_users(text):
        return True
    return bool(bot.id_pattern.search(text) or (bot.name_pattern and bot.name_pattern.search(text)))

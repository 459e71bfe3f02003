"""Turns messages of Matrix into plain text: mentions become names, and the bot's own is removed. Pure."""

import re
from collections.abc import Callable

from adapters.matrix.incoming.mentions import BotIdentity
from adapters.matrix.incoming.parsed_message import ParsedMessage
from adapters.matrix.incoming.pills import MARKDOWN_LINK, user_from_link

FULL_ID = re.compile(r"(?<![\w@/:.])@[\w.=/+-]{1,250}+:[\w.-]{1,250}(?::\d{1,5})?(?<![.-])")

NameLookup = Callable[[str], str]
"""The name of a user by their id; empty for users unknown to the room."""


def to_plain_text(message: ParsedMessage, text: str, bot: BotIdentity, names: NameLookup) -> str:
    """A message's text (`text` is all or a part of it) with names for mentions, without the words that only address
    the bot.
    """
    labels = [pill.label for pill in message.pills if pill.user_id == bot.user_id and pill.label]
    text = MARKDOWN_LINK.sub(lambda found: _link_to_name(found, bot, names), text)
    text = _strip_address(text, bot, labels)
    text = FULL_ID.sub(lambda found: names(found[0]) or found[0], bot.id_pattern.sub(bot.display_name, text))
    return text.strip()


def _link_to_name(found: re.Match[str], bot: BotIdentity, names: NameLookup) -> str:
    user = user_from_link(found["user"] or found["bare"])
    if user == bot.user_id:
        return bot.user_id  # removed like any mention of the bot
    if not user.startswith("@"):
        return found["label"] or found[0]
    return names(user) or found["label"] or user


def _strip_address(text: str, bot: BotIdentity, labels: list[str]) -> str:
    """Remove mentions at either end, which address the bot; one in the middle of a sentence is a word of it. A bare
    name, which may be any word, needs a comma or a colon. Possessive, so that hostile text takes no longer than any.
    """
    full, called = bot.id_pattern.pattern, "|".join(rf"@?{re.escape(label)}(?!\w)" for label in labels)
    certain = f"{full}|{called}" if called else full
    text = re.sub(rf"\A(?:\s*+(?:{certain})\s*+(?:[,:;!]++|(?<=\s)|\Z))+", "", text.strip(), flags=re.I)
    name = re.escape(bot.display_name)
    text = re.sub(rf"\A\s*(?:{name}\s*[,:;!]+|@{name}\s*[,:;!]+(?!\w)|@?{name}\s*\Z)", "", text, flags=re.I)
    last = rf",\s*+(?:{called})|[,\s]++(?:{full})" if called else rf"[,\s]++(?:{full})"
    return re.sub(rf"(?<![,\s])(?:{last})+\s*+(?=[.!?]?\s*\Z)", "", text, flags=re.I)

"""Turns what people write on Matrix into plain text: mentions become names, our own name goes."""

import html
import re
from collections.abc import Callable

from adapters.matrix.event_content import get_text, relation_of
from adapters.matrix.events import Json
from adapters.matrix.incoming.display_names import INVISIBLE
from adapters.matrix.incoming.pills import MARKDOWN_LINK, TAG, BotIdentity, find_pills, formatted_body, user_from_link

REPLY_QUOTE = re.compile(r"> (?:\* )?<@[^>\n]{1,400}>")
"""How the copy of a message begins that older clients put before a reply to it."""

FULL_ID = re.compile(r"(?<![\w@/:.])@[\w.=/+-]{1,250}+:[\w.-]{1,250}(?::\d{1,5})?(?<![.-])")
LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
BLOCK_END = re.compile(r"</(?:p|div|h\d|li|blockquote|pre|tr)>|<br ?/?>|<hr ?/?>", re.I)
MX_REPLY = re.compile(r"\A\s*<mx-reply>.*?</mx-reply>", re.I | re.S)

NameLookup = Callable[[str], str]
"""The name of a user by their id; empty for whom the room does not know."""


def typed_text(content: Json) -> str:
    """What a message says, as it was typed: without the copy of what it replies to, or signs that nobody sees. Where
    there is no plain text, the formatted text without its tags.
    """
    body = _visible(get_text(content, "body"))
    if not body.strip():
        return _visible(_strip_tags(formatted_body(content)))
    return _strip_quote(body) if relation_of(content).in_reply_to else body


def to_plain_text(content: Json, said: str, us: BotIdentity, known: NameLookup) -> str:
    """A message's text (`said`, which is `typed_text` or a part of it) with names for mentions, without the words that
    only address us.
    """
    labels = [pill.label for pill in find_pills(content) if pill.user_id == us.user_id and pill.label]
    said = MARKDOWN_LINK.sub(lambda found: _link_to_name(found, us, known), said)
    said = _strip_address(said, us, labels)
    said = FULL_ID.sub(lambda found: known(found[0]) or found[0], us.id_pattern.sub(us.display_name, said))
    return said.strip()


def _visible(body: str) -> str:
    return INVISIBLE.sub("", LINE_BREAK.sub("\n", body))


def _strip_tags(markup: str) -> str:
    return html.unescape(TAG.sub("", BLOCK_END.sub("\n", MX_REPLY.sub("", markup))))


def _strip_quote(body: str) -> str:
    if not REPLY_QUOTE.match(body):
        return body
    lines = body.split("\n")
    own = next((number for number, line in enumerate(lines) if not line.startswith(">")), len(lines))
    return "\n".join(lines[own:]).strip() or body


def _link_to_name(found: re.Match[str], us: BotIdentity, known: NameLookup) -> str:
    user = user_from_link(found["user"] or found["bare"])
    if user == us.user_id:
        return us.user_id  # goes as any mention of us
    if not user.startswith("@"):
        return found["label"] or found[0]
    return known(user) or found["label"] or user


def _strip_address(said: str, us: BotIdentity, labels: list[str]) -> str:
    """Mentions at either end address us; one in the middle of a sentence is a word of it. A name alone, which may be
    any word, needs a comma or a colon. Possessive, so that text made to be slow is read as fast as any.
    """
    full, called = us.id_pattern.pattern, "|".join(rf"@?{re.escape(label)}(?!\w)" for label in labels)
    surely = f"{full}|{called}" if called else full
    said = re.sub(rf"\A(?:\s*+(?:{surely})\s*+(?:[,:;!]++|(?<=\s)|\Z))+", "", said.strip(), flags=re.I)
    name = re.escape(us.display_name)
    said = re.sub(rf"\A\s*(?:{name}\s*[,:;!]+|@{name}\s*[,:;!]+(?!\w)|@?{name}\s*\Z)", "", said, flags=re.I)
    last = rf",\s*+(?:{called})|[,\s]++(?:{full})" if called else rf"[,\s]++(?:{full})"
    return re.sub(rf"(?<![,\s])(?:{last})+\s*+(?=[.!?]?\s*\Z)", "", said, flags=re.I)

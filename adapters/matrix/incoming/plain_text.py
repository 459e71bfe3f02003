"""Turns what people write on Matrix into plain text: mentions become names, our own name goes."""

import html
import re
from collections.abc import Callable

from adapters.matrix.event_content import relation_of, text
from adapters.matrix.events import Json
from adapters.matrix.incoming.display_names import UNSEEN
from adapters.matrix.incoming.pills import MARKDOWN, TAG, Us, formatted, pills, user_of

QUOTED = re.compile(r"> (?:\* )?<@[^>\n]{1,400}>")
"""How the copy of a message begins that older clients put before a reply to it."""

FULL_ID = re.compile(r"(?<![\w@/:.])@[\w.=/+-]{1,250}+:[\w.-]{1,250}(?::\d{1,5})?(?<![.-])")
BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
ENDS = re.compile(r"</(?:p|div|h\d|li|blockquote|pre|tr)>|<br ?/?>|<hr ?/?>", re.I)
REPLIED = re.compile(r"\A\s*<mx-reply>.*?</mx-reply>", re.I | re.S)

Known = Callable[[str], str]
"""The name of a user by their id; empty for whom the room does not know."""


def written(content: Json) -> str:
    """What a message says, as it was typed: without the copy of what it replies to, or signs that nobody sees. Where
    there is no plain text, the formatted text without its tags.
    """
    body = _seen(text(content, "body"))
    if not body.strip():
        return _seen(_untagged(formatted(content)))
    return _unquoted(body) if relation_of(content).points_at else body


def plain(content: Json, said: str, us: Us, known: Known) -> str:
    """A message's text (`said`, which is `written` or a part of it) with names for mentions, without the words that
    only address us.
    """
    labels = [pill.label for pill in pills(content) if pill.user_id == us.user_id and pill.label]
    said = MARKDOWN.sub(lambda found: _named(found, us, known), said)
    said = _unaddressed(said, us, labels)
    said = FULL_ID.sub(lambda found: known(found[0]) or found[0], us.full.sub(us.called, said))
    return said.strip()


def _seen(body: str) -> str:
    return UNSEEN.sub("", BREAK.sub("\n", body))


def _untagged(markup: str) -> str:
    return html.unescape(TAG.sub("", ENDS.sub("\n", REPLIED.sub("", markup))))


def _unquoted(body: str) -> str:
    if not QUOTED.match(body):
        return body
    lines = body.split("\n")
    own = next((number for number, line in enumerate(lines) if not line.startswith(">")), len(lines))
    return "\n".join(lines[own:]).strip() or body


def _named(found: re.Match[str], us: Us, known: Known) -> str:
    user = user_of(found["user"] or found["bare"])
    if user == us.user_id:
        return us.user_id  # goes as any mention of us
    if not user.startswith("@"):
        return found["label"] or found[0]
    return known(user) or found["label"] or user


def _unaddressed(said: str, us: Us, labels: list[str]) -> str:
    """Mentions at either end address us; one in the middle of a sentence is a word of it. A name alone, which may be
    any word, needs a comma or a colon. Possessive, so that text made to be slow is read as fast as any.
    """
    full, called = us.full.pattern, "|".join(rf"@?{re.escape(label)}(?!\w)" for label in labels)
    surely = f"{full}|{called}" if called else full
    said = re.sub(rf"\A(?:\s*+(?:{surely})\s*+(?:[,:;!]++|(?<=\s)|\Z))+", "", said.strip(), flags=re.I)
    name = re.escape(us.called)
    said = re.sub(rf"\A\s*(?:{name}\s*[,:;!]+|@{name}\s*[,:;!]+(?!\w)|@?{name}\s*\Z)", "", said, flags=re.I)
    last = rf",\s*+(?:{called})|[,\s]++(?:{full})" if called else rf"[,\s]++(?:{full})"
    return re.sub(rf"(?<![,\s])(?:{last})+\s*+(?=[.!?]?\s*\Z)", "", said, flags=re.I)

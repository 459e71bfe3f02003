"""The text of a message as it was typed, without invisible characters or the quote of the message replied to. Pure."""

import html
import re

from adapters.matrix.incoming.pills import TAG
from bot.core.foreign_text import clean_text

REPLY_QUOTE = re.compile(r"> (?:\* )?<@[^>\n]{1,400}>")
"""Start of the quote that older clients put before a reply."""

BLOCK_END = re.compile(r"</(?:p|div|h\d|li|blockquote|pre|tr)>|<br ?/?>|<hr ?/?>", re.I)
FOOTER_BEGIN, FOOTER_END = "<p><sub>", "</sub></p>"
MX_REPLY = re.compile(r"\A\s*<mx-reply>.*?</mx-reply>", re.I | re.S)


def typed_text(body: str, formatted_body: str, is_reply: bool) -> str:
    """The plain text of a message; where it has none, the formatted text without its tags."""
    body = clean_text(body)
    if not body.strip():
        return clean_text(_strip_tags(formatted_body))
    return _strip_quote(body) if is_reply else body


def strip_footer(text: str, formatted_body: str) -> str:
    """The text of an answer of the bot without its note and sources, which are small print in the formatted text."""
    formatted = formatted_body.rstrip()
    start = formatted.rfind(FOOTER_BEGIN)
    if start < 0 or not formatted.endswith(FOOTER_END):
        return text
    footer = clean_text(_strip_tags(formatted[start:])).strip()
    text = text.rstrip()
    return text.removesuffix(footer).rstrip()


def _strip_tags(markup: str) -> str:
    return html.unescape(TAG.sub("", BLOCK_END.sub("\n", MX_REPLY.sub("", markup))))


def _strip_quote(body: str) -> str:
    if not REPLY_QUOTE.match(body):
        return body
    lines = body.split("\n")
    own = next((number for number, line in enumerate(lines) if not line.startswith(">")), len(lines))
    return "\n".join(lines[own:]).strip() or body

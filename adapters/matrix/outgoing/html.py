"""Markdown of an answer as the HTML that Matrix's specification allows in messages."""

import html as markup
import re

import nh3
from markdown_it import MarkdownIt

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BLOCKS = ("p", "br", "hr", "blockquote", "pre", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td")
TAGS = frozenset((*HEADINGS, *BLOCKS, "a", "code", "em", "strong", "s", "del", "sub"))
"""The tags that the specification lists ("m.room.message msgtypes") and Markdown gives; no pictures."""

SCHEMES = frozenset({"http", "https", "mailto"})

MAX_TAG_DEPTH = 100
"""How deep tags may be nested, by the specification."""

_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True, "xhtmlOut": False, "maxNesting": 40})
_MARKDOWN.enable(["table", "strikethrough"])
# Every reader's client would fetch a picture from a foreign server; it stays a link.
_MARKDOWN.disable("image")

_OPENED_OR_CLOSED = re.compile("<(/?)(?!br|hr)")


def _keep_language_class(tag: str, attribute: str, value: str) -> str | None:
    """Only the class of a code block that names its language."""
    if (tag, attribute) != ("code", "class"):
        return value
    return next((name for name in value.split() if name.startswith("language-")), None)


_CLEANER = nh3.Cleaner(
    tags=set(TAGS),
    attributes={"a": {"href"}, "ol": {"start"}, "code": {"class"}},
    attribute_filter=_keep_language_class,
    link_rel=None,
    url_schemes=set(SCHEMES),
    url_relative="deny",
)


def render_html(text: str) -> str:
    """Markdown as HTML; markup in the text is text. Unfinished text is rendered too."""
    html = _CLEANER.clean(_MARKDOWN.render(text)).strip()
    return html if _depth(html) <= MAX_TAG_DEPTH else footer_html(text, small=False)


def footer_html(text: str, *, small: bool) -> str:
    """Lines of plain text as HTML below an answer."""
    lines = "<br>".join(markup.escape(line, quote=False) for line in text.split("\n"))
    return f"<p><sub>{lines}</sub></p>" if small else f"<p>{lines}</p>"


def _depth(html: str) -> int:
    depth = deepest = 0
    for found in _OPENED_OR_CLOSED.finditer(html):
        depth += -1 if found[1] else 1
        deepest = max(deepest, depth)
    return deepest

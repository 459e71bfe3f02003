"""Markdown loader: the text without front matter, titled by the front matter or the first heading."""

import re

import yaml

from knowledge.headings import find_headings
from knowledge.loaders.decoding import decode_text, normalise_text
from knowledge.loaders.types import ExtractedDocument, LoadLimits, RawFile, check_text_size, document_title

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)

_NULLS = ("~", "null", "Null", "NULL")


def load_markdown(raw: RawFile, limits: LoadLimits) -> list[ExtractedDocument]:
    """One document, without its front matter."""
    source = normalise_text(decode_text(raw.data))
    check_text_size(limits, len(source))
    front, text = split_front_matter(source)
    title = _front_title(front) or first_heading(text)
    return [ExtractedDocument(text=text, title=document_title(title, raw.name), markdown=True)]


def split_front_matter(source: str) -> tuple[str, str]:
    """The YAML between two `---` lines at the start of a text, and the rest of the text."""
    match = _FRONT_MATTER.match(source)
    return (match[1], source[match.end() :]) if match and ":" in match[1] else ("", source)


def first_heading(text: str) -> str:
    """The first heading of the highest level present, without markup; empty without headings."""
    headings = find_headings(text)
    return min(headings, key=lambda heading: heading.level).text if headings else ""


def _front_title(front: str) -> str:
    try:
        # Every scalar as text: a date that no calendar has is an error to the other loaders, and not to the reader.
        fields = yaml.load(front, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but text, lists and mappings
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):  # the last two for impossible escapes
        return ""
    title = fields.get("title") if isinstance(fields, dict) else None
    return title if isinstance(title, str) and title not in _NULLS else ""

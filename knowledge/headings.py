"""Headings of a Markdown text, with their offsets."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

HEADING_CHARACTERS = 200
# Block parsing is enough to find headings; inline parsing of a whole text costs five times as much.
_BLOCKS = MarkdownIt("commonmark").disable("inline")
_INLINE = MarkdownIt("commonmark")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: `start` is the offset of its first character, `end` the offset after its line; `level` starts at 1."""

    level: int
    text: str
    start: int
    end: int


def find_headings(text: str) -> list[Heading]:
    """The headings outside quotes and lists, in order. Lines of `text` end in `\\n` only."""
    tokens = _BLOCKS.parse(text)
    if not any(token.type == "heading_open" for token in tokens):
        return []
    starts = _line_starts(text)
    return [_heading(opened, content, starts) for opened, content in _pairs(tokens)]


def _pairs(tokens: list[Token]) -> Iterator[tuple[Token, Token]]:
    for opened, content in pairwise(tokens):
        if opened.type == "heading_open" and opened.level == 0:
            yield opened, content


def _heading(opened: Token, content: Token, starts: list[int]) -> Heading:
    first, last = opened.map or [0, 0]
    return Heading(int(opened.tag[1:]), _plain(content.content), starts[first], starts[last])


def _line_starts(text: str) -> list[int]:
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    starts[-1] = len(text)
    return [*starts, len(text)]


def _plain(source: str) -> str:
    """A heading's text without markup."""
    children = (_INLINE.parseInline(source[:HEADING_CHARACTERS])[0].children or []) if source else []
    return " ".join("".join(_words(child) for child in children).split())


def _words(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return " "
    return token.content if token.type in ("text", "code_inline", "image") else ""

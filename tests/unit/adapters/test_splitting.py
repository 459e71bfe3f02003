"""Splitting: limits, no lost character, Markdown whole on both sides, and parts that stay as they are."""

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from adapters.splitting import Part, Splitter, split

# Markdown as chat clients know it: no code by indentation, no HTML, and list items are lines.
CHAT = MarkdownIt("commonmark").disable(["code", "html_block", "reference", "lheading", "list"])
STRICT = MarkdownIt("commonmark")
MARKS_BEFORE_FENCE = re.compile(r"(?m)^((?:[ \t]*>)*)[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?=```|~~~)")

# Marks that leave no room for text in a message of the smallest limit.
OVERLONG_FENCE = re.compile(r"(?:`|~){9,}|(?m:^[ \t>]{9,}(?:```|~~~))|(?m:^[ \t>0-9.\-]*(?:```|~~~)[^\r\n]{25})")


def utf8(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def joined(parts: list[Part]) -> str:
    return "".join(part.body for part in parts)


def as_chat(text: str) -> str:
    """A fence is a fence behind a list item's marker too, and however far it is indented."""
    return MARKS_BEFORE_FENCE.sub(r"\1 ", text)


def fences(parser: MarkdownIt, text: str) -> list[Token]:
    return [token for token in parser.parse(text) if token.type == "fence"]


def is_closed(token: Token, text: str) -> bool:
    """Whether a fence ends before its text: by its closing line, or where the quote around it does."""
    rows = re.split(r"\r\n?|\n", text)
    assert token.map
    begin, end = token.map
    last = re.sub(r"^(?:[ \t]*>)*", "", rows[end - 1]).strip(" \t")
    closed = end - begin > 1 and last.startswith(token.markup) and not last.strip(token.markup[0])
    return closed or len(rows) - end > 1 or bool("".join(rows[end:]).strip())


def code_of(parser: MarkdownIt, texts: list[str]) -> str:
    """All fenced code, without what a cut within a line adds."""
    return "".join("".join(token.content.split()) for text in texts for token in fences(parser, text))


MARKS = [
    "```",
    "~~~",
    "````",
    "```py",
    "~~~ sh",
    "> ",
    ">",
    "- ",
    "1. ",
    "# ",
    "**",
    "_",
    "[",
    "](",
    "`",
    "``",
    "\\",
    "!",
]
SPACE = ["\n", "\n", "\n\n", "\r\n", "    ", "  ", "\t", " ", " "]
WORDS = ["Words and words. ", "Is it? ", "x" * 9, "a", "**bold**", "[a](http://a.example/x)", "http://a.example/path"]
SCRIPTS = ["👩‍👩‍👧‍👦", "🇫🇷", "e\u0301", "שלום", "\u200b", "漢字。"]
PIECES = st.sampled_from(MARKS) | st.sampled_from(SPACE) | st.sampled_from(WORDS) | st.sampled_from(SCRIPTS)
MARKDOWN = st.lists(PIECES, max_size=150).map("".join)
TEXTS = MARKDOWN | st.text(max_size=300)
LIMITS = st.sampled_from([64, 80, 120, 200])


@pytest.mark.parametrize("measure", [len, utf8])
@settings(max_examples=150, deadline=None)
@given(text=TEXTS, limit=LIMITS)
def test_each_part_is_within_the_limit_and_the_bodies_joined_are_the_text(
    measure: Callable[[str], int], text: str, limit: int
) -> None:
    parts = split(text, limit, measure)
    assert joined(parts) == text
    assert all(measure(part.shown) <= limit for part in parts)
    assert all(part.body for part in parts)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, limit=LIMITS, cut=st.integers(0, 400))
def test_finished_parts_stay_as_they_are_while_the_text_grows(text: str, limit: int, cut: int) -> None:
    earlier = split(text[:cut], limit)
    finished = earlier[:-1]
    assert split(text, limit)[: len(finished)] == finished


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, limit=LIMITS, cuts=st.lists(st.integers(0, 400), max_size=5))
def test_a_splitter_that_saw_the_text_grow_gives_what_one_that_sees_it_at_once_gives(
    text: str, limit: int, cuts: list[int]
) -> None:
    splitter = Splitter(limit)
    for cut in sorted(cuts):
        splitter.split(text[:cut])
    assert splitter.split(text) == split(text, limit)


@settings(max_examples=300, deadline=None)
@given(text=MARKDOWN, limit=LIMITS)
def test_a_markdown_parser_sees_every_fence_of_every_part_closed(text: str, limit: int) -> None:
    assume(not OVERLONG_FENCE.search(text))
    for part in split(text, limit):
        shown = as_chat(part.shown)
        assert all(is_closed(token, shown) for token in fences(CHAT, shown))


@settings(max_examples=300, deadline=None)
@given(text=MARKDOWN, limit=LIMITS)
def test_code_stays_code_and_text_stays_text(text: str, limit: int) -> None:
    assume(not OVERLONG_FENCE.search(text))
    text = as_chat(text)
    assert code_of(CHAT, [part.shown for part in split(text, limit)]) == code_of(CHAT, [text])

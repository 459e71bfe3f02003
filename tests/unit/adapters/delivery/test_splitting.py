"""Splitting: limits, no lost character, Markdown whole on both sides, and parts that stay as they are."""

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from wcwidth import iter_graphemes

from adapters.delivery.splitting import SplitPart, TextSplitter, split_text

# Markdown as chat clients know it: no code by indentation, no HTML, and list items are lines.
CHAT = MarkdownIt("commonmark").disable(["code", "html_block", "reference", "lheading", "list"])
STRICT = MarkdownIt("commonmark")
MARKS_BEFORE_FENCE = re.compile(r"(?m)^((?:[ \t]*>)*)[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?=```|~~~)")

# Marks that leave no room for text in a message of the smallest limit.
OVERLONG_FENCE = re.compile(r"(?:`|~){9,}|[ \t>]{9,}(?:```|~~~)|(?m:^[ \t>0-9.\-]*(?:```|~~~)[^\r\n]{25})")


def utf8(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def joined(parts: list[SplitPart]) -> str:
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
    parts = split_text(text, limit, measure)
    assert joined(parts) == text
    assert all(measure(part.full_text) <= limit for part in parts)
    assert all(part.body for part in parts)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, limit=LIMITS, cut=st.integers(0, 400))
def test_finished_parts_stay_as_they_are_while_the_text_grows(text: str, limit: int, cut: int) -> None:
    earlier = split_text(text[:cut], limit)
    finished = earlier[:-1]
    assert split_text(text, limit)[: len(finished)] == finished


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, limit=LIMITS, cuts=st.lists(st.integers(0, 400), max_size=5))
def test_a_splitter_that_saw_the_text_grow_gives_what_one_that_sees_it_at_once_gives(
    text: str, limit: int, cuts: list[int]
) -> None:
    splitter = TextSplitter(limit)
    for cut in sorted(cuts):
        splitter.split_text(text[:cut])
    assert splitter.split_text(text) == split_text(text, limit)


@settings(max_examples=300, deadline=None)
@given(text=MARKDOWN, limit=LIMITS)
def test_a_markdown_parser_sees_every_fence_of_every_part_closed(text: str, limit: int) -> None:
    assume(not OVERLONG_FENCE.search(text))
    for part in split_text(text, limit):
        shown = as_chat(part.full_text)
        assert all(is_closed(token, shown) for token in fences(CHAT, shown))


@settings(max_examples=300, deadline=None)
@given(text=MARKDOWN, limit=LIMITS)
def test_code_stays_code_and_text_stays_text(text: str, limit: int) -> None:
    assume(not OVERLONG_FENCE.search(text))
    text = as_chat(text)
    assert code_of(CHAT, [part.full_text for part in split_text(text, limit)]) == code_of(CHAT, [text])


@settings(max_examples=100, deadline=None)
@given(text=TEXTS, limit=LIMITS)
def test_no_character_as_readers_see_it_is_cut(text: str, limit: int) -> None:
    whole = {0}
    for grapheme in iter_graphemes(text):
        whole.add(max(whole) + len(grapheme))
    position = 0
    for part in split_text(text, limit):
        position += len(part.body)
        assert position in whole


def test_a_text_that_fits_is_one_part_to_the_last_character() -> None:
    assert split_text("a" * 2000, 2000) == [SplitPart("", "a" * 2000, "")]
    assert len(split_text("a" * 2001, 2000)) == 2


def test_an_empty_text_has_no_parts() -> None:
    assert split_text("", 2000) == []


def test_a_limit_without_room_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="too small"):
        TextSplitter(10)


def test_a_text_without_spaces_fills_its_messages() -> None:
    parts = split_text("a" * 6000, 2000)
    assert joined(parts) == "a" * 6000
    assert len(parts) == 4
    assert all(len(part.body) > 1950 for part in parts[:-1])


@pytest.mark.parametrize("marks", ["```", "~~~", "````"])
def test_one_long_code_block_is_closed_and_begun_again_with_its_language(marks: str) -> None:
    text = f"{marks}python title=x\n" + "value = compute(1)\n" * 480 + marks
    parts = split_text(text, 2000)
    assert all(len(part.full_text) <= 2000 for part in parts)
    assert [part.opener for part in parts[1:]] == [f"{marks}python title=x\n"] * (len(parts) - 1)
    assert [part.closer for part in parts] == [marks] * (len(parts) - 1) + [""]
    tokens = [fences(STRICT, part.full_text) for part in parts]
    assert [len(each) for each in tokens] == [1] * len(parts)
    assert "".join(each[0].content for each in tokens) == "value = compute(1)\n" * 480


def test_a_code_line_longer_than_a_message_is_cut_within() -> None:
    parts = split_text("```\n" + "x" * 9000 + "\n```", 2000)
    assert {part.opener for part in parts[1:]} == {"```\n"}
    assert code_of(STRICT, [part.full_text for part in parts]) == "x" * 9000


def test_a_code_block_that_fits_into_the_next_message_stays_whole() -> None:
    code = "```sh\n" + "make check\n" * 60 + "```\n"
    parts = split_text("Some words. " * 120 + "\n\n" + code, 2000)
    assert [part.body.count("```") for part in parts] == [0, 2]


@pytest.mark.parametrize("indent", ["  ", "   ", "> ", "> > "])
def test_code_in_lists_and_quotes_keeps_its_place(indent: str) -> None:
    marker = indent if ">" in indent else "-".ljust(len(indent))
    text = f"{marker}First:\n\n{indent}```sh\n" + f"{indent}make check\n" * 100 + f"{indent}```\n{indent}done\n"
    parts = split_text(text.replace("\n\n", f"\n{indent.strip()}\n"), 400)
    assert len(parts) > 3
    assert code_of(STRICT, [part.full_text for part in parts]) == "makecheck" * 100
    assert all(is_closed(token, part.full_text) for part in parts for token in fences(STRICT, part.full_text))


def test_a_message_that_is_still_being_written_has_its_code_closed() -> None:
    assert split_text("Run:\n```sh\nmake", 2000) == [SplitPart("", "Run:\n```sh\nmake", "\n```")]


def test_links_are_never_cut_and_come_whole_in_the_next_message() -> None:
    link = "[the handbook of this house](https://house.example/handbook/(disks)/drives?page=3#shelf)"
    for words in range(120, 200):
        parts = split_text("word " * words + link + " and more words" * 60, 1000)
        assert sum(part.body.count(link) for part in parts) == 1


def test_a_link_longer_than_a_message_is_cut() -> None:
    text = "[a](https://house.example/" + "x" * 3000 + ") and more"
    parts = split_text(text, 1000)
    assert joined(parts) == text
    assert len(parts) == 4


@pytest.mark.parametrize(
    "span", ["`make check all`", "**very bold words**", "~~struck words here~~", "||hidden words||"]
)
def test_short_spans_are_never_cut(span: str) -> None:
    for words in range(150, 200):
        parts = split_text("word " * words + span + " and more words" * 60, 1000)
        assert sum(part.body.count(span) for part in parts) == 1


def test_inline_code_longer_than_a_message_is_closed_and_begun_again() -> None:
    parts = split_text("`" + "code words " * 500 + "`", 2000)
    assert [part.opener for part in parts] == ["", "`", "`"]
    assert [part.closer for part in parts] == ["`", "`", ""]


def test_quoted_lines_that_are_cut_stay_quoted() -> None:
    parts = split_text("> " + "quoted words " * 300, 1000)
    assert all(part.full_text.startswith("> ") for part in parts)


def test_lists_are_cut_between_their_items() -> None:
    text = "".join(f"{number}. The drive number {number}\n   stands on shelf {number}.\n" for number in range(1, 100))
    parts = split_text(text, 1000)
    assert all(re.match(r"\d+\. The drive", part.body) for part in parts)


def test_a_nested_item_begins_its_message_without_its_indentation() -> None:
    text = "- One:\n" + "    - a nested item of some length\n" * 60
    parts = split_text(text, 1000)
    assert len(parts) > 2
    assert all(part.body.startswith("- ") for part in parts)


def test_a_heading_stays_with_its_text() -> None:
    parts = split_text("Some words. " * 70 + "\n\n## Disks\n\n" + "More words. " * 70, 1000)
    assert parts[1].body.startswith("## Disks")


def test_paragraphs_are_preferred_to_lines_and_lines_to_sentences() -> None:
    paragraph = "One sentence here. Another one there.\nA second line.\n\n"
    assert all(part.body.endswith("\n\n") for part in split_text(paragraph * 40, 1000))
    assert all(part.body.endswith("there. ") for part in split_text("Here it is, there. " * 100, 1000)[:-1])


@pytest.mark.parametrize("character", ["👩‍👩‍👧‍👦", "🇫🇷", "e\u0301\u0323", "שָׁ", "नि", "👍🏽"])
def test_emoji_flags_and_accents_are_whole_on_both_sides(character: str) -> None:
    for ahead in range(len(character)):
        parts = split_text("x" * ahead + character * 400, 500)
        assert all(part.body.lstrip("x").replace(character, "") == "" for part in parts)


def test_a_part_of_spaces_or_zero_width_characters_is_blank() -> None:
    parts = split_text("word" + " " * 3000 + "\u200b\n", 1000)
    assert [part.is_blank for part in parts] == [False, True, True, True]
    assert not SplitPart("", "a", "").is_blank


def test_bytes_can_be_what_is_measured() -> None:
    parts = split_text("漢字" * 1000, 1000, utf8)
    assert all(900 < utf8(part.full_text) <= 1000 for part in parts[:-1])


def test_splitting_looks_at_each_character_a_bounded_number_of_times() -> None:
    measured = 0

    def counting(text: str) -> int:
        nonlocal measured
        measured += len(text)
        return len(text)

    split_text("Some words of an answer. " * 400, 1000, counting)
    short, measured = measured, 0
    split_text("Some words of an answer. " * 4000, 1000, counting)
    assert measured < 12 * short


def test_a_splitter_starts_over_with_a_text_that_does_not_go_on() -> None:
    splitter = TextSplitter(1000)
    splitter.split_text("first words " * 300)
    other = "second words " * 300
    assert splitter.split_text(other) == split_text(other, 1000)
    assert splitter.split_text(other[:50]) == split_text(other[:50], 1000)


def item(number: int, lines: int) -> str:
    return (
        f"- Step **{number}** of [the list](http://a.example/{number}):\n\n  ```sh\n"
        + "  make `x`\n" * lines
        + "  ```\n"
    )


BLOCKS = st.one_of(
    st.integers(1, 30).map(lambda count: "Some **bold words** and `code` here. " * count + "\n\n"),
    st.integers(1, 30).map(lambda lines: "```python\n" + "value = 1\n\n" * lines + "```\n\n"),
    st.tuples(st.integers(1, 9), st.integers(1, 30)).map(lambda pair: item(*pair)),
    st.integers(1, 20).map(lambda lines: "> quoted [link](http://a.example/q) words\n" * lines + "\n"),
    st.just("## Heading\n\n"),
)


def counts(texts: list[str]) -> tuple[int, int, int]:
    """Links, bold stretches and inline code that a strict parser sees outside of fences."""
    children = [child for text in texts for token in STRICT.parse(text) for child in token.children or []]
    links, bold, code = (
        sum(child.type == kind for child in children) for kind in ("link_open", "strong_open", "code_inline")
    )
    return links, bold, code


@settings(max_examples=60, deadline=None)
@given(blocks=st.lists(BLOCKS, min_size=1, max_size=8), limit=st.sampled_from([200, 500, 2000]))
def test_an_answer_in_good_markdown_reads_the_same_in_parts(blocks: list[str], limit: int) -> None:
    text = "".join(blocks)
    shown = [part.full_text for part in split_text(text, limit)]
    assert all(is_closed(token, each) for each in shown for token in fences(STRICT, each))
    assert code_of(STRICT, shown) == code_of(STRICT, [text])
    assert counts(shown) == counts([text])

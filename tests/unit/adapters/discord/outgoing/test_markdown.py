"""Answers as Discord's clients show them: code, tables and formulas, also while they are written and in parts."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.delivery.fence_mending import ZERO_WIDTH_SPACE
from adapters.delivery.splitting import split_text
from adapters.discord.outgoing.markdown import to_discord_markdown

CODE = re.compile(r"```(?:[a-z0-9_+\-.#]+\n)?\n*([^\n].*?)\n*```", re.IGNORECASE | re.DOTALL)
"""Code blocks as Discord's clients find them: from any three backticks to the next."""

PIECES = st.sampled_from(
    ["```", "````", "`", "``", "~~~", "```py\n", "```\n", "\n", "\n", "\n\n", "> ", "- ", " ", "words and words ",
     "code ", "That is all.", "||", "| a | b |\n", "|---|---|\n", "$x^2$", "漢字。", "👍🏽"]
)  # fmt: skip
MARKDOWN = st.lists(PIECES, max_size=60).map("".join)
LIMITS = st.sampled_from([64, 100, 200, 2000])


def code_blocks(text: str) -> list[str]:
    """The code that Discord shows, in the signs that were written."""
    return [found.replace(ZERO_WIDTH_SPACE, "") for found in CODE.findall(text)]


def words_outside(text: str) -> str:
    return CODE.sub("", text)


@pytest.mark.parametrize(
    ("written", "code", "words"),
    [
        ("Use this: ```bash\nsudo reboot\n```\nThat is all.", ["sudo reboot"], "Use this:That is all."),
        ("```python\nprint(1)```\nThat is all.", ["print(1)"], "That is all."),
        ("````md\n```bash\nls\n```\n````\nThat is all.", ["```bash\nls\n```"], "That is all."),
        ("~~~py\na = '```'\n~~~\nThat is all.", ["a = '```'"], "That is all."),
        ("> Quoted: ```sh\n> ls\n> ```\nThat is all.", ["> ls\n>"], "> Quoted:\n> That is all."),
    ],
)
def test_discord_shows_as_code_what_is_code(written: str, code: list[str], words: str) -> None:
    shown = to_discord_markdown(written)
    assert [block.strip() for block in code_blocks(shown)] == code
    assert words_outside(shown).replace("\n", "") == words.replace("\n", "")


@settings(max_examples=300, deadline=None)
@given(text=MARKDOWN, limit=LIMITS)
def test_any_text_in_parts_has_balanced_fences_within_the_limit_and_is_whole(text: str, limit: int) -> None:
    shown = to_discord_markdown(text)
    parts = split_text(shown, limit, spoilers=True)
    assert "".join(part.body for part in parts) == shown
    for part in parts:
        assert len(part.full_text) <= limit
        assert part.full_text.count("```") % 2 == 0
        assert "````" not in part.full_text


@settings(max_examples=200, deadline=None)
@given(text=MARKDOWN, cut=st.integers(0, 200), limit=LIMITS)
def test_a_growing_text_is_balanced_at_each_moment(text: str, cut: int, limit: int) -> None:
    parts = split_text(to_discord_markdown(text[:cut], ended=False), limit, spoilers=True)
    assert all(part.full_text.count("```") % 2 == 0 for part in parts)


@settings(max_examples=200, deadline=None)
@given(text=MARKDOWN)
def test_words_are_whole_whatever_stands_around_them(text: str) -> None:
    for word in ("words", "That is all.", "漢字。", "👍🏽"):
        assert to_discord_markdown(text).count(word) >= text.count(word)  # a list repeats the names of columns


def test_a_spoiler_that_is_cut_is_hidden_on_both_sides() -> None:
    text = "The code is ||" + "seven and eight " * 20 + "end||, and that is all."
    parts = split_text(text, 100, spoilers=True)
    assert "".join(part.body for part in parts) == text
    assert len(parts) > 3
    for part in parts:
        hidden = "".join(re.findall(r"\|\|(.*?)\|\|", part.full_text, re.DOTALL))
        assert part.full_text.count("seven") == hidden.count("seven")
    assert all(len(part.full_text) <= 100 for part in parts)


def test_bars_in_words_and_code_hide_nothing() -> None:
    text = "Either a || b is true, or `a||b`. " * 20
    assert all(not part.opener for part in split_text(text, 100, spoilers=True))


def test_other_platforms_have_no_spoilers() -> None:
    parts = split_text("||" + "seven and eight " * 20 + "||", 100)
    assert all(not part.opener for part in parts)

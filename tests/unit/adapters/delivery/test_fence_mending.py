"""Mending of code fences: each on a line of its own, nothing lost, the same again."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapters.delivery.code_fences import iter_lines
from adapters.delivery.fence_mending import ZERO_WIDTH_SPACE, break_runs, mend_fences
from adapters.delivery.splitting import split_text

CHAT = MarkdownIt("commonmark").disable(["code", "html_block", "reference", "lheading", "list"])
PIECES = st.sampled_from(
    ["```", "````", "`", "``", "~~~", "```py", "```\n", "\n", "\n", "\n\n", "> ", "- ", "1. ", " ", "words and words ",
     "code", "\\", "That is all.", "||", "漢字。", "👍🏽"]
)  # fmt: skip
MARKDOWN = st.lists(PIECES, max_size=60).map("".join)


def code_in(text: str) -> list[str]:
    return [token.content for token in CHAT.parse(text) if token.type == "fence"]


def bare(text: str) -> str:
    """The words of a text, without what mending may add, move or drop."""
    return re.sub(rf"[\s`>\\{ZERO_WIDTH_SPACE}]", "", text)


@pytest.mark.parametrize(
    ("written", "mended"),
    [
        ("Use this: ```bash\nsudo reboot\n```\nThat is all.", "Use this:\n```bash\nsudo reboot\n```\nThat is all."),
        ("```python\nprint(1)```\nThat is all.", "```python\nprint(1)\n```\nThat is all."),
        ("```\nprint(1)``` That is all.", "```\nprint(1)\n```\nThat is all."),
        ("Use ```sudo reboot\nand wait```", "Use\n```\nsudo reboot\nand wait\n```"),
        ("> Use: ```sh\n> ls\n> ```\nok", "> Use:\n> ```sh\n> ls\n> ```\nok"),
        ("- Use: ```sh\n  ls\n  ```\n- b", "- Use:\n  ```sh\n  ls\n  ```\n- b"),
        ("```sudo reboot\n```", "```\nsudo reboot\n```"),
        ("Use ```ls``` now", "Use `ls` now"),
        ("Use ```a`b``` now", "Use ``a`b`` now"),
        ("what ``` means in Markdown", "what \\`\\`\\` means in Markdown"),
        ("all done\n```", "all done\n"),
        ("cut off at ```bash", "cut off at\n`bash`"),
    ],
)
def test_a_fence_gets_a_line_of_its_own(written: str, mended: str) -> None:
    assert mend_fences(written) == mended


@pytest.mark.parametrize(
    "text",
    [
        "```python title=x\nprint(1)\n```\n",
        "````md\n```bash\nls\n```\n````\nend",
        "```sh\necho '```'\necho ``` hello\n```\n",
        "```\nstill being written",
        "~~~\nprint(1)```\n~~~\n",
        "`inline` and ``more`` and no fence",
    ],
)
def test_what_is_right_stays_as_it_is(text: str) -> None:
    assert mend_fences(text) == text


@pytest.mark.parametrize(
    ("so_far", "shown"),
    [
        ("Use ```ls -l", "Use "),
        ("Use this: ```bash\n", "Use this:\n"),
        ("Use this:\n```ba", "Use this:\n"),
        ("```\nls", "```\nls"),
    ],
)
def test_what_the_next_characters_decide_is_held_back(so_far: str, shown: str) -> None:
    assert mend_fences(so_far, ended=False) == shown


@settings(max_examples=300, deadline=None)
@given(text=MARKDOWN)
def test_mending_a_mended_text_changes_nothing(text: str) -> None:
    mended = mend_fences(text)
    assert mend_fences(mended) == mended


@settings(max_examples=300, deadline=None)
@given(text=MARKDOWN)
def test_outside_of_fenced_code_no_three_backticks_are_left(text: str) -> None:
    mended = mend_fences(text)
    words = [
        mended[line.begin : line.end]
        for line in iter_lines(mended, 0, len(mended), None)
        if line.fence_before is None and line.fence_after is None
    ]
    assert not [line for line in words if "```" in line]


@settings(max_examples=300, deadline=None)
@given(text=MARKDOWN)
def test_mending_loses_no_word(text: str) -> None:
    assert bare(mend_fences(text)) == bare(text)


@settings(max_examples=200, deadline=None)
@given(text=MARKDOWN, limit=st.sampled_from([64, 100, 200]))
def test_a_mended_text_in_parts_is_the_mended_text_within_the_limit(text: str, limit: int) -> None:
    mended = mend_fences(text)
    parts = split_text(mended, limit)
    assert "".join(part.body for part in parts) == mended
    assert all(len(part.full_text) <= limit for part in parts)


def test_words_behind_code_are_no_code_to_a_strict_client() -> None:
    assert code_in(mend_fences("Use this: ```bash\nsudo reboot\n```\nThat is all.")) == ["sudo reboot\n"]
    assert code_in(mend_fences("```python\nprint(1)```\nThat is all.")) == ["print(1)\n"]


def test_runs_within_code_are_broken_by_a_sign_without_width() -> None:
    assert "```" not in break_runs("a ```` b ``` c")
    assert break_runs("a ```` b").replace(ZERO_WIDTH_SPACE, "") == "a ```` b"
    assert break_runs("``a``") == "``a``"

"""Control texts are found wherever they stand, however many there are, and broken up so that none is left."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.llama.native.control_texts import ControlTextFinder


@pytest.mark.parametrize(
    ("texts", "text", "broken"),
    [
        (["<s>", "<end>", "<end>x"], "a <end> b <end>x c <s>", "a < end> b < end>x c < s>"),
        (["<a>", "a>"], "<a> and a>", "< a > and a >"),
        (["<|im_end|>"], "<|im_end|><|im_end|>", "< |im_end|>< |im_end|>"),
        (["\u241f"], "a\u241fb", "ab"),
        ([], "<s>", "<s>"),
        (["", "<s>"], "<s", "<s"),
    ],
)
def test_control_texts_are_broken_up(texts: list[str], text: str, broken: str) -> None:
    assert ControlTextFinder(texts).break_up(text) == broken


@given(st.lists(st.text("<>|ab ", min_size=2, max_size=4), max_size=5), st.text("<>|ab ", max_size=30))
def test_none_is_left_whatever_the_vocabulary(texts: list[str], text: str) -> None:
    texts = [each for each in texts if " " not in each]
    broken = ControlTextFinder(texts).break_up(text)
    assert not any(each in broken for each in texts)
    assert broken.replace(" ", "") == text.replace(" ", "")


def test_the_longest_is_found() -> None:
    assert list(ControlTextFinder(["<e>", "<e>x", "e>"]).find_all("<e>x")) == [(0, 4), (1, 3)]


@pytest.mark.parametrize("text", ["<" * 130_000, "<un" * 40_000, "if (a < b) { x<unused>y; } " * 5_000])
def test_thousands_of_them_cost_no_more_than_a_few(text: str) -> None:
    def seconds(count: int) -> float:
        finder = ControlTextFinder(f"<unused{number}>" for number in range(count))
        began = time.process_time()
        finder.break_up(text)
        return time.process_time() - began

    # A regular expression of all texts takes some hundred times as long for six thousand as for one.
    assert min(seconds(6000) for _ in range(3)) < 10 * min(seconds(1) for _ in range(3)) + 0.05

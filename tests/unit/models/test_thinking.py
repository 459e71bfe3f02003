import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.thinking import ThinkingFilter

_WORDS = ("<think>", "</think>", "[THINK]", "[/THINK]", "<thi", "</", "◁think▷", "◁/think▷", "a", " ", "<", ">", "\n")


def _run(pieces: list[str], prompt_end: str = "") -> str:
    thinking = ThinkingFilter(prompt_end)
    return "".join(thinking.push_text(piece) for piece in pieces) + thinking.flush()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Plain answer.", "Plain answer."),
        ("<think>Hmm.</think>\n\nThe shelf.", "The shelf."),
        ("<think></think>The shelf.", "The shelf."),
        ("First <reasoning>why</reasoning> then.", "First then."),
        ("[THINK]x[/THINK]Yes", "Yes"),
        ("◁think▷x◁/think▷Yes", "Yes"),
        ("<think>never closed", ""),
        ("a < b and <thin walls", "a < b and <thin walls"),
        ("ends with <think", "ends with <think"),
        ("<think>a</think>b<think>c</think>d", "bd"),
        ("<think>a </thinking> b</think>c", "c"),
        ("<|channel|>analysis<|message|>why<|end|><|start|>assistant<|channel|>final<|message|>Yes", "Yes"),
        ("<|channel|>final<|message|>Yes", "Yes"),
    ],
)
def test_thinking_is_dropped_and_the_rest_kept(text: str, shown: str) -> None:
    assert _run([text]) == shown
    assert _run(list(text)) == shown


def test_a_template_that_opens_the_thinking_itself_is_understood() -> None:
    assert _run(["Hmm", ".</thi", "nk>\n\nYes"], "<|im_start|>assistant\n<think>\n") == "Yes"
    assert _run(["Yes"], "<|im_start|>assistant\n<think>\n\n</think>\n\n") == "Yes"


@given(st.lists(st.sampled_from(_WORDS), max_size=12), st.data())
def test_the_cutting_into_pieces_changes_nothing(words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert _run(pieces) == _run([text])


@given(st.lists(st.sampled_from(_WORDS), max_size=12))
def test_no_opening_tag_and_nothing_between_tags_is_ever_shown(words: list[str]) -> None:
    text = "".join(words)
    thinking = ThinkingFilter()
    shown = "".join(thinking.push_text(character) for character in text)
    kept = re.sub(
        r"<think>.*?(</think>|$)|\[THINK\].*?(\[/THINK\]|$)|◁think▷.*?(◁/think▷|$)", "", text, flags=re.DOTALL
    )
    assert "".join(kept.split()).startswith("".join(shown.split()))
    assert not re.search(r"<think>|\[THINK\]|◁think▷", shown)

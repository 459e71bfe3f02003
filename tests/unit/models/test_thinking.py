import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.thinking import ThinkingFilter
from models.thinking_marks import KNOWN_MARKS, ThinkingMarks, find_thinking_marks

_WORDS = (
    "<think>",
    "</think>",
    "[THINK]",
    "<thi",
    "</",
    "<answer>",
    "</answer>",
    "<|channel|>",
    "analysis",
    "final",
    "<|message|>",
    "<|end|>",
    "<|start|>assistant",
    "`",
    "a",
    " ",
    "<",
    "\n",
)


def _split(
    pieces: list[str], prompt_end: str = "", marks: ThinkingMarks = KNOWN_MARKS, *, may_begin_inside: bool = False
) -> tuple[str, str]:
    thinking = ThinkingFilter(prompt_end, marks, may_begin_inside=may_begin_inside)
    shown = "".join(thinking.push_text(piece) for piece in pieces) + thinking.flush()
    return shown, thinking.take_thinking()


def _shown(text: str, prompt_end: str = "") -> str:
    whole = _split([text], prompt_end)[0]
    assert _split(list(text), prompt_end)[0] == whole
    return whole


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>Hmm.</think>\n\nThe shelf.", "The shelf."),
        ("\n<think>\nHmm.\n</think>\n\nThe shelf.", "The shelf."),
        ("<think></think>The shelf.", "The shelf."),
        ("<thinking>why</thinking>Yes", "Yes"),
        ("<thought>why</thought>Yes", "Yes"),
        ("<seed:think>why</seed:think>Yes", "Yes"),
        ("[THINK]x[/THINK]Yes", "Yes"),
        ("◁think▷x◁/think▷Yes", "Yes"),
        ("<|START_THINKING|>x<|END_THINKING|>Yes", "Yes"),
        ("<|channel>thought\nHmm.<channel|>Yes", "Yes"),
        ("<|channel>thought\n<channel|>Yes", "Yes"),
        ("<unused94>thought\nHmm.<unused95>Yes", "Yes"),
        ("<unused94>Hmm.<unused95>Yes", "Yes"),
        ("<|begin_of_thought|>x<|end_of_thought|>\n<|begin_of_solution|>Yes<|end_of_solution|>", "Yes"),
        ("<think>a</think>\n<think>b</think>Yes", "Yes"),
        ("<think>a </thinking> b</think>Yes", "Yes"),
        ("<think>I close with `</think>` at the end.</think>Yes", "Yes"),
        ("Here is my thought process:\nHmm.\nHere is my response:\nYes", "Yes"),
        ("<think>Hmm.</think>\n<answer>\nYes\n</answer>\n", "Yes"),
        ("<answer>\nYes\n</answer>", "Yes"),
        ("<think>Hmm.</think>\n<output>Yes</output>", "Yes"),
        ("</think>\n\nYes", "Yes"),
        ("Here are my reasoning steps:\nHm\n[BEGIN FINAL RESPONSE]\nYes\n[END FINAL RESPONSE]\n", "Yes"),
    ],
)
def test_thinking_and_the_marks_around_an_answer_are_no_part_of_it(text: str, shown: str) -> None:
    assert _shown(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Plain answer.",
        "  indented",
        "Reasoning models put their notes into <think> tags, and the answer comes after.",
        "Notes stand between <think> and </think>.",
        "First <think>why</think> then.",
        "`<think>` opens the notes, `</think>` closes them.",
        "```xml\n<think>a</think>\n```\nThat is it.",
        "<reasoning>a</reasoning><result>b",
        "a < b and <thin walls",
        "ends with <think",
        "<output> is an element of HTML, closed by </output>",
        "The form has <answer>two</answer> fields.",
        "[THINKPAD] is a brand.",
        "<table><tr>",
        "Answer: <|channel|>final<|message|> is Harmony.",
    ],
)
def test_a_text_that_mentions_marks_is_kept_whole(text: str) -> None:
    assert _shown(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<|channel|>analysis<|message|>why<|end|><|start|>assistant<|channel|>final<|message|>Yes", "Yes"),
        ("<|channel|>final<|message|>Yes", "Yes"),
        ('<|channel|>final <|constrain|>json<|message|>{"a":1}', '{"a":1}'),
        (
            "<|channel|>analysis<|message|>why<|end|><|start|>assistant"
            '<|channel|>final <|constrain|>json<|message|>{"a":1}',
            '{"a":1}',
        ),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Yes",
            "Yes",
        ),
        ("<|channel|>analysis<|message|>Only thinking", "Only thinking"),
        ("<|channel|>analysis<|message|>why<|end|>Yes", "Yes"),
    ],
)
def test_of_named_channels_only_the_final_one_is_the_answer(text: str, shown: str) -> None:
    assert _shown(text) == shown
    assert _shown(text, "<|start|>assistant") == shown


def test_a_template_that_opens_the_thinking_itself_is_understood() -> None:
    assert _split(["Hmm", ".</thi", "nk>\n\nYes"], "<|im_start|>assistant\n<think>\n") == ("Yes", "Hmm.")
    assert _split(["Yes"], "<|im_start|>assistant\n<think>\n\n</think>\n\n") == ("Yes", "")
    assert _split(["Hm<|end|>", "<|channel|>final<|message|>Yes"], "<|channel|>analysis<|message|>")[0] == "Yes"


@pytest.mark.parametrize(
    ("text", "prompt_end", "given_back"),
    [
        ("<think>\nNever closed", "", "Never closed"),
        ("The drive is on shelf Heron.", "<think>\n", "The drive is on shelf Heron."),
        ("<think> opens the notes of a model.", "", "<think> opens the notes of a model."),
        ("<think>a</think><think>b", "", "ab"),
    ],
)
def test_thinking_that_never_closes_is_given_back_when_there_is_no_answer(
    text: str, prompt_end: str, given_back: str
) -> None:
    assert _shown(text, prompt_end) == given_back


def test_thinking_comes_apart_from_the_answer_while_it_is_written() -> None:
    thinking = ThinkingFilter()
    assert thinking.push_text("<think>Hm") == ""
    assert (thinking.take_thinking(), thinking.is_thinking) == ("Hm", True)
    assert thinking.push_text("m.</think>\n") == ""
    assert (thinking.take_thinking(), thinking.is_thinking) == ("m.", False)
    assert thinking.push_text("Yes") + thinking.flush() == "Yes"
    assert (thinking.take_thinking(), thinking.is_answering) == ("", True)


@pytest.mark.parametrize(
    ("begun", "closing"),
    [
        ("<think>Hmm", "\n</think>\n\n"),
        ("[THINK]Hmm", "[/THINK]"),
        ("<|channel>thought\nHmm", "<channel|>"),
        ("<|channel|>analysis<|message|>Hmm", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ],
)
def test_the_text_that_closes_thinking_leads_to_the_answer(begun: str, closing: str) -> None:
    thinking = ThinkingFilter()
    thinking.push_text(begun)
    assert thinking.closing_text == closing
    assert thinking.push_text(closing) + thinking.push_text("Yes") + thinking.flush() == "Yes"


def test_an_answer_that_stays_empty_after_a_forced_closing_is_the_thinking() -> None:
    thinking = ThinkingFilter("<think>\n")
    thinking.push_text("Shelf Heron.")
    closing = thinking.closing_text
    thinking.push_text(closing)
    thinking.note_forced_closing()
    assert thinking.flush() == "Shelf Heron."


def test_a_reply_may_begin_inside_the_thinking_without_an_opening_mark() -> None:
    assert _split(["Hmm.\n</thi", "nk>\n\nYes"], may_begin_inside=True) == ("Yes", "Hmm.\n")
    assert _split(["<think>Hmm.</think>Yes"], may_begin_inside=True) == ("Yes", "Hmm.")
    for text in (
        "No thinking at all.",
        "Write `</think>`\nto close.",
        "</b> is no",
    ):
        assert _split([text], may_begin_inside=True)[0] == text
    thinking = ThinkingFilter(may_begin_inside=True)
    thinking.push_text("Hmm.</think>\n")
    assert thinking.began_inside


def test_a_models_own_marks_are_found_in_its_vocabulary_and_template() -> None:
    marks = find_thinking_marks(
        ["<|reason_start|>", "<|reason_end|>", "<s>", "<other>"], "<my_thoughts>x</my_thoughts>"
    )
    for opening, closing in (("<|reason_start|>", "<|reason_end|>"), ("<my_thoughts>", "</my_thoughts>")):
        assert _split([f"{opening}x{closing}Yes"], marks=marks) == ("Yes", "x")
    assert "<other>" not in marks.texts
    assert find_thinking_marks([], "{{ '<reasoning>' }}").pairs == KNOWN_MARKS.pairs, "a mark without a closing one"


@given(st.lists(st.sampled_from(_WORDS), max_size=12), st.data())
def test_the_cutting_into_pieces_changes_nothing(words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    for prompt_end, inside in (("", False), ("<think>\n", False), ("", True)):
        assert _split(pieces, prompt_end, may_begin_inside=inside) == _split(
            [text], prompt_end, may_begin_inside=inside
        )


@given(st.lists(st.sampled_from(_WORDS), min_size=1, max_size=12))
def test_an_answer_that_does_not_begin_with_a_mark_is_kept_whole(words: list[str]) -> None:
    text = "Answer" + "".join(words)
    assert _split([text]) == (text, "")
    assert _split(list(text)) == (text, "")


@given(st.lists(st.sampled_from(_WORDS), min_size=1, max_size=12))
def test_a_reply_with_letters_is_never_without_an_answer_unless_its_thinking_closed(words: list[str]) -> None:
    shown, thought = _split(["".join(words)], "<think>\n")
    assert shown.strip() or "</think>" in words or not thought.strip()

from hypothesis import given
from hypothesis import strategies as st

from models.stop import StopStrings

_PIECES = st.lists(st.text("abc", max_size=4), max_size=12)
_STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=4)


def _run(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    strings = StopStrings(stops)
    shown = "".join(strings.push_text(piece) for piece in pieces)
    return shown + strings.flush(), strings.stopped


def _expected(stops: list[str], text: str) -> tuple[str, bool]:
    """The text up to the stop string that is completed first; of those that end at the same index, the longest."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))], True
    return text, False


@given(_STOPS, _PIECES)
def test_text_ends_before_the_first_stop_string_however_it_is_cut(stops: list[str], pieces: list[str]) -> None:
    assert _run(stops, pieces) == _expected(stops, "".join(pieces))


@given(_STOPS, _PIECES)
def test_nothing_is_shown_that_would_have_to_be_taken_back(stops: list[str], pieces: list[str]) -> None:
    strings = StopStrings(stops)
    shown = ""
    for piece in pieces:
        shown += strings.push_text(piece)
        assert _expected(stops, "".join(pieces))[0].startswith(shown)


@given(_STOPS, _PIECES)
def test_no_more_is_held_back_than_could_become_a_stop_string(stops: list[str], pieces: list[str]) -> None:
    strings = StopStrings(stops)
    text = "".join(pieces)
    shown = "".join(strings.push_text(piece) for piece in pieces)
    held = text[len(shown) :] if not strings.stopped else ""
    assert held == "" or any(stop.startswith(held) and stop != held for stop in stops)


def test_without_stop_strings_everything_passes() -> None:
    assert _run([], ["some ", "text"]) == ("some text", False)
    assert _run([""], ["some ", "text"]) == ("some text", False)


def test_ten_thousand_stop_strings_hold_back_one_that_began() -> None:
    strings = StopStrings([f"stop number {number:05}" for number in range(10_000)])
    assert strings.push_text("text then stop number 098") == "text then "
    assert strings.push_text("76 and more") == ""
    assert strings.stopped

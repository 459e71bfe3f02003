from hypothesis import given
from hypothesis import strategies as st

from models.llama.decoding.draft_length import DraftLengthController
from models.llama.decoding.prompt_lookup import PromptLookup

_PASSAGES = [1, 2, 3, 4, 5, 6, 7, 1, 2, 9]


def _after(*answer: int, passages: list[int] = _PASSAGES) -> PromptLookup:
    guesser = PromptLookup(passages)
    for token in answer:
        guesser.observe_token(token)
    return guesser


def test_three_words_of_a_passage_are_continued_as_there() -> None:
    assert _after(8, 2, 3, 4).draft_tokens(2) == [5, 6]


def test_two_words_are_not_enough() -> None:
    assert not _after(3, 4).has_match


def test_a_quotation_goes_on_where_it_was_and_ends_with_the_passage_or_another_word() -> None:
    assert _after(2, 3, 4, 5).draft_tokens(2) == [6, 7]
    assert not _after(2, 3, 4, 8).has_match
    assert _after(6, 7, 1, 2).draft_tokens(5) == [9]
    assert _after(6, 7, 1, 2, 9).draft_tokens(5) == []


def test_an_answer_that_repeats_itself_is_continued_as_before() -> None:
    assert _after(11, 12, 13, 14, 15, 11, 12, 13).draft_tokens(2) == [14, 15]
    assert _after(11, 12, 13, 11, 12, 13, 11).draft_tokens(4) == [12, 13, 11]  # as far as it has come


def test_what_it_said_itself_counts_more_than_a_passage() -> None:
    assert _after(2, 3, 4, 8, 2, 3, 4).draft_tokens(1) == [8]


def test_of_equal_places_the_last_counts() -> None:
    assert _after(1, 2, 3, passages=[1, 2, 3, 4, 1, 2, 3, 5]).draft_tokens(1) == [5]


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30))
def test_what_is_guessed_always_followed_the_same_words_before(passages: list[int], answer: list[int]) -> None:
    guesser = _after(*answer, passages=passages)
    if guess := guesser.draft_tokens(2):
        seen = [*answer[-3:], *guess]
        known = [*passages, -1, *answer]
        assert any(known[place : place + len(seen)] == seen for place in range(len(known)))


def test_guessing_is_tried_only_where_it_was_proven_and_something_is_quoted() -> None:
    assert DraftLengthController(0).draft_length(_after(2, 3, 4)) == 0
    assert DraftLengthController(2).draft_length(None) == 0
    assert DraftLengthController(2).draft_length(_after(3, 4)) == 0
    assert DraftLengthController(2).draft_length(_after(2, 3, 4)) > 0


def _measured(seconds: list[float], right: int) -> tuple[DraftLengthController, PromptLookup]:
    """After 30 tries of each length, of which so many guesses at most were right."""
    speculation, guesser = DraftLengthController(len(seconds) - 1), _after(2, 3, 4)
    for _ in range(30):
        for guessed, each in enumerate(seconds):
            speculation.observe_step(guesser, guessed, chosen=1 + min(guessed, right), seconds=each)
    return speculation, guesser


def test_guesses_that_are_wrong_are_given_up_but_for_a_rare_try() -> None:
    speculation, guesser = _measured([0.01, 0.015, 0.02], right=0)
    tried = [speculation.draft_length(guesser) for _ in range(100)]
    assert sum(most > 0 for most in tried) == 4


def test_guesses_that_cost_more_than_they_bring_are_given_up() -> None:
    speculation, guesser = _measured([0.01, 0.02, 0.03], right=2)
    assert speculation.draft_length(guesser) == 0


def test_guesses_that_are_right_and_cheap_go_on() -> None:
    speculation, guesser = _measured([0.01, 0.015, 0.02], right=2)
    assert speculation.draft_length(guesser) == 2


def test_as_many_are_guessed_as_bring_the_most_tokens_a_second() -> None:
    # A third guess costs as much as all the rest together.
    speculation, guesser = _measured([0.01, 0.012, 0.014, 0.028], right=3)
    assert speculation.draft_length(guesser) == 2

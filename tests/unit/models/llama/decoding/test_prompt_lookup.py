from hypothesis import given
from hypothesis import strategies as st

from models.llama.decoding.draft_length import DraftLengthController
from models.llama.decoding.prompt_lookup import PromptLookup

_PASSAGES = [1, 2, 3, 4, 5, 6, 7, 1, 2, 9]


def _after(*reply: int, passages: list[int] = _PASSAGES) -> PromptLookup:
    lookup = PromptLookup(passages)
    for token in reply:
        lookup.observe_token(token)
    return lookup


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
    assert _after(11, 12, 13, 11, 12, 13, 11).draft_tokens(4) == [12, 13, 11]  # up to its newest token


def test_what_it_said_itself_counts_more_than_a_passage() -> None:
    assert _after(2, 3, 4, 8, 2, 3, 4).draft_tokens(1) == [8]


def test_of_equal_places_the_last_counts() -> None:
    assert _after(1, 2, 3, passages=[1, 2, 3, 4, 1, 2, 3, 5]).draft_tokens(1) == [5]


def test_where_a_short_draft_costs_little_a_longer_one_is_tried() -> None:
    controller, lookup = DraftLengthController(6), _after(2, 3, 4)
    controller.observe_step(lookup, 0, 1, 0.040)
    for _ in range(20):
        controller.observe_step(lookup, 1, 2, 0.022)  # threads that sleep at barriers make steps of one token slow
    assert controller.draft_length(lookup) > 1


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30))
def test_what_is_guessed_always_followed_the_same_words_before(passages: list[int], reply: list[int]) -> None:
    lookup = _after(*reply, passages=passages)
    if draft := lookup.draft_tokens(2):
        drafted_ngram = [*reply[-3:], *draft]
        known_tokens = [*passages, -1, *reply]
        assert any(
            known_tokens[start : start + len(drafted_ngram)] == drafted_ngram for start in range(len(known_tokens))
        )


def test_guessing_is_tried_only_where_it_was_proven_and_something_is_quoted() -> None:
    assert DraftLengthController(0).draft_length(_after(2, 3, 4)) == 0
    assert DraftLengthController(2).draft_length(None) == 0
    assert DraftLengthController(2).draft_length(_after(3, 4)) == 0
    assert DraftLengthController(2).draft_length(_after(2, 3, 4)) > 0


def _controller_after(steps_s: list[float], max_accepted: int) -> tuple[DraftLengthController, PromptLookup]:
    """A controller after 30 drafts of each length, with at most so many accepted tokens each."""
    controller, lookup = DraftLengthController(len(steps_s) - 1), _after(2, 3, 4)
    for _ in range(30):
        for drafted, step_s in enumerate(steps_s):
            controller.observe_step(lookup, drafted, sampled=1 + min(drafted, max_accepted), seconds=step_s)
    return controller, lookup


def test_guesses_that_are_wrong_are_given_up_but_for_a_rare_try() -> None:
    controller, lookup = _controller_after([0.01, 0.015, 0.02], max_accepted=0)
    lengths = [controller.draft_length(lookup) for _ in range(100)]
    assert sum(length > 0 for length in lengths) == 4


def test_guesses_that_cost_more_than_they_bring_are_given_up() -> None:
    controller, lookup = _controller_after([0.01, 0.02, 0.03], max_accepted=2)
    assert controller.draft_length(lookup) == 0


def test_guesses_that_are_right_and_cheap_go_on() -> None:
    controller, lookup = _controller_after([0.01, 0.015, 0.02], max_accepted=2)
    assert controller.draft_length(lookup) == 2


def test_as_many_are_guessed_as_bring_the_most_tokens_a_second() -> None:
    # A third draft token costs as much as all the others together.
    controller, lookup = _controller_after([0.01, 0.012, 0.014, 0.028], max_accepted=3)
    assert controller.draft_length(lookup) == 2

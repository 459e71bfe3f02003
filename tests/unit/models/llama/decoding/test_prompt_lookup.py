from hypothesis import given
from hypothesis import strategies as st

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


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30))
def test_what_is_guessed_always_followed_the_same_words_before(passages: list[int], reply: list[int]) -> None:
    lookup = _after(*reply, passages=passages)
    if draft := lookup.draft_tokens(2):
        drafted_ngram = [*reply[-3:], *draft]
        known_tokens = [*passages, -1, *reply]
        assert any(
            known_tokens[start : start + len(drafted_ngram)] == drafted_ngram for start in range(len(known_tokens))
        )


def test_each_token_tells_whether_the_match_was_right_without_a_draft() -> None:
    new = _after(2, 3, 4).acceptance_rate
    assert _after(2, 3, 4, 5).acceptance_rate > new
    assert _after(2, 3, 4, 8, 2, 3, 4).acceptance_rate < new


def test_a_quotation_that_goes_on_is_trusted_more_than_three_tokens_that_match() -> None:
    passage = list(range(20))
    quoting = _after(*range(12), passages=passage)
    assert quoting.acceptance_rate > 0.8 > _after(*range(3), passages=passage).acceptance_rate


def test_coincidences_are_known_as_such_after_a_few() -> None:
    # The same three tokens again and again, each time continued differently.
    reply = [token for number in range(20) for token in (1, 2, 3, 100 + number)]
    lookup = _after(*reply, 1, 2, 3, passages=[1, 2, 3, 99])
    assert lookup.has_match
    assert lookup.acceptance_rate < 0.1

import pytest

from models.llama.decoding.draft_length import Drafter, draftable_tokens, expected_tokens


@pytest.mark.parametrize(
    ("rate", "drafted", "expected"), [(0.5, 0, 1.0), (0.0, 8, 1.0), (1.0, 8, 9.0), (0.5, 2, 1.75), (0.9, 3, 3.439)]
)
def test_a_draft_brings_one_token_and_those_up_to_the_first_rejected(
    rate: float, drafted: int, expected: float
) -> None:
    assert expected_tokens(rate, drafted) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tokens", "max_tokens", "expected"), [((8,), 6, 6), ((3,), 8, 3), ((8, 5), 8, 5), ((8, 0), 8, 0), ((8,), -1, -1)]
)
def test_replies_together_draft_what_there_is_for_each(tokens: tuple[int, ...], max_tokens: int, expected: int) -> None:
    assert draftable_tokens([Drafter(count, 0.9) for count in tokens], max_tokens) == expected

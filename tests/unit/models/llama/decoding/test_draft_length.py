import pytest

from models.llama.decoding.draft_length import expected_tokens


@pytest.mark.parametrize(
    ("rate", "drafted", "expected"), [(0.5, 0, 1.0), (0.0, 8, 1.0), (1.0, 8, 9.0), (0.5, 2, 1.75), (0.9, 3, 3.439)]
)
def test_a_draft_brings_one_token_and_those_up_to_the_first_rejected(
    rate: float, drafted: int, expected: float
) -> None:
    assert expected_tokens(rate, drafted) == pytest.approx(expected)

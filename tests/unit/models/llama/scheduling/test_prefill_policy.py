import pytest

from models.llama.scheduling.prefill_policy import PendingPrefill, StepState, choose_prefill, should_prefill


def _state(**changes: float | bool) -> StepState:
    usual: dict[str, float | bool] = {
        "is_decoding": True,
        "is_prefilling": True,
        "since_decode_s": 0.0,
        "chunk_s": 0.1,
        "step_s": 0.02,
        "prefilled_last": False,
    }
    return StepState(**{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (_state(is_prefilling=False), False),
        (_state(is_decoding=False, since_decode_s=99.0), True),
        (_state(), True),
        (_state(chunk_s=9.0), True),  # one chunk between two tokens, however long it takes
        (_state(prefilled_last=True, since_decode_s=0.1), True),
        (_state(prefilled_last=True, since_decode_s=0.14), False),
        (_state(prefilled_last=True, chunk_s=9.0), False),
        (_state(is_prefilling=False, is_decoding=False), False),
    ],
)
def test_chunks_go_between_tokens_as_far_as_the_gap_allows(state: StepState, expected: bool) -> None:
    assert should_prefill(state, max_pause_s=0.25) is expected


def test_the_shortest_prompt_is_read_first_and_of_equals_the_one_that_waits_longest() -> None:
    assert choose_prefill([PendingPrefill(5.0, 0.0), PendingPrefill(0.3, 0.0)]) == 1
    assert choose_prefill([PendingPrefill(1.0, 0.0), PendingPrefill(1.0, 0.5)]) == 1


def test_a_long_prompt_is_not_kept_waiting_by_an_endless_line_of_short_ones() -> None:
    waited_s = 0.0
    while choose_prefill([PendingPrefill(10.0, waited_s), PendingPrefill(0.3, 0.0)]) == 1:
        waited_s += 0.3
    assert waited_s < 10.5

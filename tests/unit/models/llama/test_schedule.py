import pytest

from models.llama.scheduling.prefill_policy import Moment, Reading, first_of, may_read


def _moment(**changes: float | bool) -> Moment:
    usual: dict[str, float | bool] = {
        "writing": True,
        "reading": True,
        "since_written_s": 0.0,
        "chunk_s": 0.1,
        "step_s": 0.02,
        "read_last": False,
    }
    return Moment(**{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("moment", "reads"),
    [
        (_moment(reading=False), False),
        (_moment(writing=False, since_written_s=99.0), True),
        (_moment(), True),
        (_moment(chunk_s=9.0), True),  # one chunk between two tokens, however long it takes
        (_moment(read_last=True, since_written_s=0.1), True),
        (_moment(read_last=True, since_written_s=0.14), False),
        (_moment(read_last=True, chunk_s=9.0), False),
        (_moment(reading=False, writing=False), False),
    ],
)
def test_chunks_go_between_tokens_as_far_as_the_gap_allows(moment: Moment, reads: bool) -> None:
    assert may_read(moment, longest_gap_s=0.25) is reads


def test_the_shortest_prompt_is_read_first_and_of_equals_the_one_that_waits_longest() -> None:
    assert first_of([Reading(5.0, 0.0), Reading(0.3, 0.0)]) == 1
    assert first_of([Reading(1.0, 0.0), Reading(1.0, 0.5)]) == 1


def test_a_long_prompt_is_not_kept_waiting_by_an_endless_line_of_short_ones() -> None:
    waited_s = 0.0
    while first_of([Reading(10.0, waited_s), Reading(0.3, 0.0)]) == 1:
        waited_s += 0.3
    assert waited_s < 10.5

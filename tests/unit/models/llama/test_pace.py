import pytest

from models.engine import Usage
from models.llama.scheduling.throughput import Pace

_USAGE = Usage(10, 10, 0, 20, prefill_s=1.0, decode_s=4.0, finish="stop")


def _after_one_answer(capacity: int) -> Pace:
    pace = Pace()
    pace.serves(capacity)
    pace.asked()
    pace.began(1)
    pace.ended(1, _USAGE)
    return pace


def test_the_estimate_is_zero_before_the_first_answer() -> None:
    assert Pace().estimate() == 0


def test_who_finds_a_free_place_waits_for_the_prefill_alone() -> None:
    assert _after_one_answer(1).estimate() == 1.0


def test_each_who_waits_in_front_takes_an_answers_time() -> None:
    pace = _after_one_answer(1)
    pace.asked()
    pace.asked()
    assert pace.estimate() == 11.0
    pace.left()
    assert pace.estimate() == 6.0


def test_answers_made_together_shorten_the_wait() -> None:
    pace = _after_one_answer(2)
    for _ in range(3):
        pace.asked()
    pace.began(2)
    assert pace.estimate() == pytest.approx(6.0, abs=0.1)


def test_the_time_of_a_chunk_follows_the_last_ones() -> None:
    pace = Pace()
    assert pace.reading_s(10) == 0
    pace.read(10, 1.0)
    assert pace.reading_s(20) == pytest.approx(2.0)
    pace.read(10, 2.0)
    assert 2.0 < pace.reading_s(20) < 4.0

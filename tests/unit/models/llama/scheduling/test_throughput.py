import pytest

from models.engine import Usage
from models.llama.scheduling.throughput import Throughput

_USAGE = Usage(10, 10, 0, 20, prefill_s=1.0, decode_s=4.0, finish="stop")


def _after_one_answer(capacity: int) -> Throughput:
    pace = Throughput()
    pace.set_capacity(capacity)
    pace.record_queued()
    pace.record_admitted(1)
    pace.record_ended(1, _USAGE)
    return pace


def test_the_estimate_is_zero_before_the_first_answer() -> None:
    assert Throughput().estimate_wait_s() == 0


def test_who_finds_a_free_place_waits_for_the_prefill_alone() -> None:
    assert _after_one_answer(1).estimate_wait_s() == 1.0


def test_each_who_waits_in_front_takes_an_answers_time() -> None:
    pace = _after_one_answer(1)
    pace.record_queued()
    pace.record_queued()
    assert pace.estimate_wait_s() == 11.0
    pace.record_abandoned()
    assert pace.estimate_wait_s() == 6.0


def test_answers_made_together_shorten_the_wait() -> None:
    pace = _after_one_answer(2)
    for _ in range(3):
        pace.record_queued()
    pace.record_admitted(2)
    assert pace.estimate_wait_s() == pytest.approx(6.0, abs=0.1)


def test_the_time_of_a_chunk_follows_the_last_ones() -> None:
    pace = Throughput()
    assert pace.prefill_s(10) == 0
    pace.record_prefill(10, 1.0)
    assert pace.prefill_s(20) == pytest.approx(2.0)
    pace.record_prefill(10, 2.0)
    assert 2.0 < pace.prefill_s(20) < 4.0

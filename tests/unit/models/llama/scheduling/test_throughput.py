import pytest

from models.engine import Usage
from models.llama.scheduling.throughput import Throughput

_USAGE = Usage(10, 10, 0, 20, prefill_s=1.0, decode_s=4.0, finish="stop")


def _after_one_answer(capacity: int) -> Throughput:
    throughput = Throughput()
    throughput.set_capacity(capacity)
    throughput.record_queued()
    throughput.record_admitted(1)
    throughput.record_ended(1, _USAGE)
    return throughput


def test_the_estimate_is_zero_before_the_first_answer() -> None:
    assert Throughput().estimate_wait_s() == 0


def test_who_finds_a_free_place_waits_for_the_prefill_alone() -> None:
    assert _after_one_answer(1).estimate_wait_s() == 1.0


def test_each_who_waits_in_front_takes_an_answers_time() -> None:
    throughput = _after_one_answer(1)
    throughput.record_queued()
    throughput.record_queued()
    assert throughput.estimate_wait_s() == 11.0
    throughput.record_abandoned()
    assert throughput.estimate_wait_s() == 6.0


def test_answers_made_together_shorten_the_wait() -> None:
    throughput = _after_one_answer(2)
    for _ in range(3):
        throughput.record_queued()
    throughput.record_admitted(2)
    assert throughput.estimate_wait_s() == pytest.approx(6.0, abs=0.1)


def test_the_time_of_a_chunk_follows_the_last_ones() -> None:
    throughput = Throughput()
    assert throughput.prefill_s(10) == 0
    throughput.record_prefill(10, 1.0)
    assert throughput.prefill_s(20) == pytest.approx(2.0)
    throughput.record_prefill(10, 2.0)
    assert 2.0 < throughput.prefill_s(20) < 4.0

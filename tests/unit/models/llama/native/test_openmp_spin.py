import threading
from typing import Any

import pytest

from models.llama.native.openmp_spin import OpenMpSpinControl

THREADS = 2
ALL_S, HALF_S = 0.02 * THREADS, 0.01 * THREADS


class OpenMp:
    """Fake OpenMP library: records the teams that were started."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.sizes: list[int] = []

    def GOMP_parallel(self, function: Any, data: Any, threads: Any, flags: Any) -> None:  # noqa: N802
        self.sizes.append(threads.value)
        self.started.release()


def steps(spin_control: OpenMpSpinControl, cpu_s: float, count: int = 10) -> None:
    for _ in range(count):
        spin_control.record_computation(0.02, cpu_s)


@pytest.fixture
def openmp() -> OpenMp:
    return OpenMp()


def idle_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "llama-surplus"]


def test_threads_with_their_cores_to_themselves_spin_long(openmp: OpenMp) -> None:
    spin_control = OpenMpSpinControl(openmp, THREADS)
    steps(spin_control, ALL_S)
    assert not spin_control.is_brief
    assert not openmp.sizes


def test_displaced_threads_spin_briefly_until_they_are_undisturbed_again(openmp: OpenMp) -> None:
    spin_control = OpenMpSpinControl(openmp, THREADS)
    steps(spin_control, HALF_S)
    assert spin_control.is_brief
    assert openmp.started.acquire(timeout=10)
    assert len(openmp.sizes) == 1  # however many steps are slow
    assert len(idle_threads()) == 1
    steps(spin_control, ALL_S)
    assert not spin_control.is_brief
    for thread in idle_threads():
        thread.join(10)
    assert not idle_threads()


def test_threads_that_sleep_much_without_a_neighbour_spin_long_again_after_a_trial(openmp: OpenMp) -> None:
    """Slow wake-ups keep the share low for as long as the threads spin briefly; long spins raise it at once."""
    spin_control = OpenMpSpinControl(openmp, THREADS)
    steps(spin_control, HALF_S)
    for _ in range(1000):
        spin_control.record_computation(0.02, HALF_S if spin_control.is_brief else ALL_S)
    assert not spin_control.is_brief
    assert len(openmp.sizes) == 1


def test_trials_beside_a_lasting_neighbour_fail_and_become_rare(openmp: OpenMp) -> None:
    spin_control = OpenMpSpinControl(openmp, THREADS)
    steps(spin_control, HALF_S)
    long_steps = 0
    for _ in range(5000):  # 100 seconds of computation
        long_steps += not spin_control.is_brief
        spin_control.record_computation(0.02, HALF_S)
    assert 0 < long_steps < 50
    spin_control.close()


def test_one_slow_step_changes_nothing(openmp: OpenMp) -> None:
    spin_control = OpenMpSpinControl(openmp, THREADS)
    spin_control.record_computation(0.2, 0.2)
    assert not spin_control.is_brief


def test_two_long_computations_are_enough_to_notice_a_neighbour(openmp: OpenMp) -> None:
    spin_control = OpenMpSpinControl(openmp, THREADS)
    for _ in range(2):
        assert not spin_control.is_brief
        spin_control.record_computation(0.2, 0.2)
    assert spin_control.is_brief
    spin_control.close()


def test_what_is_too_short_to_be_judged_is_not(openmp: OpenMp) -> None:
    spin_control = OpenMpSpinControl(openmp, THREADS)
    for _ in range(100):
        spin_control.record_computation(0.001, 0.0)
    assert not spin_control.is_brief


@pytest.mark.parametrize(("library", "threads"), [(OpenMp(), 1), (object(), THREADS)])
def test_without_openmp_or_with_one_thread_there_is_nothing_to_do(library: object, threads: int) -> None:
    spin_control = OpenMpSpinControl(library, threads)
    with spin_control.measured():
        pass
    steps(spin_control, 0.0)
    assert not spin_control.is_brief


def test_closing_gives_the_threads_back(openmp: OpenMp) -> None:
    spin_control = OpenMpSpinControl(openmp, THREADS)
    steps(spin_control, HALF_S)
    spin_control.close()
    spin_control.close()
    for thread in idle_threads():
        thread.join(10)
    assert not idle_threads()
    assert not spin_control.is_brief


def test_a_computation_that_fails_is_not_noted(openmp: OpenMp) -> None:
    spin_control = OpenMpSpinControl(openmp, THREADS)
    with pytest.raises(ValueError, match="refused"), spin_control.measured():
        raise ValueError("refused")
    assert not spin_control.is_brief

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from models.llama.native.compute_threads import ComputeThreads, CpuUse, read_cpu_use, threads_beside, used_by_others


@pytest.mark.parametrize(
    ("others", "current", "most", "processors", "expected"),
    [
        (0.0, 2, 2, 2, 2),
        (0.3, 2, 2, 2, 2),  # between the thresholds nothing changes
        (0.3, 1, 2, 2, 1),
        (0.5, 2, 2, 2, 1),  # what a busy process gets beside two threads
        (1.0, 1, 2, 2, 1),
        (0.1, 1, 2, 2, 2),
        (2.0, 2, 2, 2, 1),  # one thread is left, however busy the machine is
        (1.0, 4, 4, 4, 3),
        (3.0, 4, 4, 4, 1),
        (1.0, 4, 4, 8, 4),  # a processor for each of four cores is still free
        (5.0, 4, 4, 8, 3),
        (0.0, 1, 8, 8, 8),
        (1.0, 1, 1, 1, 1),
    ],
)
def test_a_thread_computes_on_each_core_that_others_leave(
    others: float, current: int, most: int, processors: int, expected: int
) -> None:
    assert threads_beside(others, current, most, processors) == expected


class Machine:
    """A fake clock of the processor: every second others and this process use so many cores."""

    def __init__(self) -> None:
        self.use = CpuUse(0.0, 0.0, 0.0)

    def pass_time(self, seconds: float, others: float, own: float) -> float:
        self.use = CpuUse(
            self.use.at_s + seconds,
            self.use.all_s + seconds * (others + own),
            self.use.own_s + seconds * own,
        )
        return self.use.at_s

    def read(self) -> CpuUse:
        return self.use


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_threads_make_way_for_a_busy_process_and_come_back(machine: Machine) -> None:
    threads = ComputeThreads(2, is_fixed=False, processors=2, read_use=machine.read)
    assert threads.adapt(machine.pass_time(0.2, others=0.0, own=2.0)) == 2
    assert threads.adapt(machine.pass_time(0.2, others=0.6, own=1.4)) == 1
    assert threads.adapt(machine.pass_time(0.2, others=1.0, own=1.0)) == 1
    assert threads.adapt(machine.pass_time(0.2, others=0.0, own=1.0)) == 2


@pytest.mark.parametrize(("running", "expected"), [(0, 2), (1, 1), (None, 1)])
def test_after_a_pause_counts_who_computes_now(running: int | None, expected: int) -> None:
    pause = (CpuUse(0.0, 0.0, 0.0), CpuUse(60.0, 120.0, 0.1, others_running=running))
    assert threads_beside(used_by_others(*pause), 2, 2, 2) == expected


def test_a_long_step_is_no_pause() -> None:
    step = (CpuUse(0.0, 0.0, 0.0), CpuUse(20.0, 40.0, 30.0, others_running=0))
    assert used_by_others(*step) == pytest.approx(0.5)


def test_own_work_never_counts_as_others(machine: Machine) -> None:
    threads = ComputeThreads(2, is_fixed=False, processors=2, read_use=machine.read)
    assert threads.adapt(machine.pass_time(0.2, others=-0.1, own=2.0)) == 2


def test_a_moment_is_too_short_to_be_measured(machine: Machine) -> None:
    threads = ComputeThreads(2, is_fixed=False, processors=2, read_use=machine.read)
    assert threads.adapt(machine.pass_time(0.05, others=2.0, own=0.0)) == 2
    assert threads.adapt(machine.pass_time(0.05, others=2.0, own=0.0)) == 1


def test_a_fixed_number_of_threads_stays(machine: Machine) -> None:
    threads = ComputeThreads(2, is_fixed=True, processors=2, read_use=machine.read)
    assert threads.adapt(machine.pass_time(1.0, others=2.0, own=0.0)) == 2


@pytest.fixture
def busy_process() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    process.kill()
    process.wait()


def test_a_real_busy_process_is_seen(busy_process: None) -> None:
    threads = ComputeThreads(2, is_fixed=False, processors=2)
    deadline = time.monotonic() + 60
    while threads.adapt(time.monotonic()) == 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threads.count == 1


def test_the_use_of_the_processor_grows(busy_process: None) -> None:
    before = read_cpu_use()
    deadline = time.monotonic() + 60
    while (after := read_cpu_use()).all_s - before.all_s < 0.05 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert after.all_s - before.all_s >= 0.05
    assert after.at_s > before.at_s

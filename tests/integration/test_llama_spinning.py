"""The idle threads of the real OpenMP library."""

import os
import time
from pathlib import Path

import pytest

from models.llama.native.libllama import ggml_library
from models.llama.native.openmp_spin import OpenMpSpinControl

_TASKS = Path("/proc/self/task")
_WITHIN_S = 60.0


def _threads_become(expected: int) -> bool:
    deadline = time.monotonic() + _WITHIN_S
    while len(list(_TASKS.iterdir())) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(list(_TASKS.iterdir())) == expected


@pytest.mark.skipif(not _TASKS.is_dir(), reason="threads are counted in /proc")
def test_there_are_more_openmp_threads_than_processors_while_steps_are_displaced() -> None:
    spin_control = OpenMpSpinControl(ggml_library(), threads=2)
    before = len(list(_TASKS.iterdir()))
    for _ in range(10):
        spin_control.record_computation(elapsed_s=0.02, cpu_s=0.02)
    assert _threads_become(before + len(os.sched_getaffinity(0)) + 1)
    for _ in range(20):
        spin_control.record_computation(elapsed_s=0.02, cpu_s=0.04)
    assert _threads_become(before)

"""Spin time of llama.cpp's OpenMP threads at barriers before they sleep: long on a quiet machine, else brief."""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.llama.moving_average import moving_average
from models.llama.plan.hardware import processor_count

# Share of their cores' time below which the threads are displaced by other processes, and above which they are not.
_DISPLACED_SHARE, _UNDISTURBED_SHARE = 0.7, 0.78
# The weight of a computation in the mean grows with its duration: two long ones are enough to notice a neighbour.
_SMOOTHING_PER_S, _MAX_SMOOTHING = 10.0, 0.4
# In shorter steps the process clock is too coarse.
_MIN_MEASURED_S = 0.002
# Threads that spin briefly sleep at barriers, so their share says little: on a machine with slow wake-ups it stays low
# long after a neighbour has gone. Only a trial with long spins can tell. Seconds of computation before the first
# trial; each failed one doubles them.
_FIRST_TRIAL_AFTER_S, _LAST_TRIAL_AFTER_S = 0.5, 16.0
# Computations of a trial; the first displaced one ends it, because it may take as long as ten others.
_TRIAL_LENGTH = 3


class OpenMpSpinControl:
    """Adapts the spin time to the CPU share that computations get. Used on one thread, the one that computes."""

    def __init__(self, openmp: Any, threads: int) -> None:
        """`openmp` is a loaded library that exports GOMP_parallel; without that symbol nothing is ever done."""
        self._openmp = openmp if threads > 1 and hasattr(openmp, "GOMP_parallel") else None
        self._threads = threads
        self._cpu_share = 1.0
        self._idle_team: _IdleTeam | None = None
        self._trial_after_s = _FIRST_TRIAL_AFTER_S
        self._brief_for_s = 0.0
        self._trial_left = 0

    @property
    def is_brief(self) -> bool:
        """Whether the threads currently spin only briefly."""
        return self._idle_team is not None

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure a computation that all threads share."""
        if self._openmp is None:
            yield
            return
        started_at, cpu_started_s = time.monotonic(), time.process_time()
        yield
        self.record_computation(time.monotonic() - started_at, time.process_time() - cpu_started_s)

    def record_computation(self, elapsed_s: float, cpu_s: float) -> None:
        """Record a computation: its wall-clock time, and the CPU time that this process used meanwhile."""
        if self._openmp is None or elapsed_s < _MIN_MEASURED_S:
            return
        newest = min(1.0, cpu_s / (elapsed_s * self._threads))
        if self._trial_left:
            self._continue_trial(newest)
            return
        smoothing = min(_SMOOTHING_PER_S * elapsed_s, _MAX_SMOOTHING)
        self._cpu_share = moving_average(self._cpu_share, newest, smoothing)
        if self._idle_team is None:
            if self._cpu_share < _DISPLACED_SHARE:
                self._spin_briefly()
        elif self._cpu_share > _UNDISTURBED_SHARE:
            self._spin_long()
        else:
            self._brief_for_s += elapsed_s
            if self._brief_for_s >= self._trial_after_s:
                self.close()
                self._trial_left = _TRIAL_LENGTH

    def _continue_trial(self, newest: float) -> None:
        self._trial_left -= 1
        if newest < _DISPLACED_SHARE:
            self._trial_left = 0
            self._trial_after_s = min(2 * self._trial_after_s, _LAST_TRIAL_AFTER_S)
            self._spin_briefly()
        elif not self._trial_left:
            self._cpu_share = 1.0
            self._spin_long()

    def _spin_briefly(self) -> None:
        self._idle_team = _IdleTeam(self._openmp)
        self._brief_for_s = 0.0

    def _spin_long(self) -> None:
        self.close()
        self._trial_after_s = _FIRST_TRIAL_AFTER_S

    def close(self) -> None:
        """Stop the idle threads."""
        if self._idle_team is not None:
            self._idle_team.stop()
            self._idle_team = None


class _IdleTeam:
    """Sleeping OpenMP threads, so that there are more threads than processors: then GCC's OpenMP lets all threads spin
    only a hundred times, whatever GOMP_SPINCOUNT says (its manual, "GOMP_SPINCOUNT"). It has no other run-time switch.
    """

    def __init__(self, openmp: Any) -> None:
        self._openmp = openmp
        self._stopped = threading.Event()
        # The OpenMP threads live as long as the thread that started them.
        threading.Thread(target=self._hold_threads, name="llama-surplus", daemon=True).start()

    def _hold_threads(self) -> None:
        no_op = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        self._openmp.GOMP_parallel(no_op, None, ctypes.c_uint(1 + processor_count()), ctypes.c_uint(0))
        self._stopped.wait()

    def stop(self) -> None:
        """End the threads."""
        self._stopped.set()

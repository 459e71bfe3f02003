"""How long llama.cpp's threads spin at barriers before they sleep: long on a quiet machine, else briefly."""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.llama.plan.hardware import processor_count

# Below this share of their cores' time, the threads are being displaced by somebody else; above it nobody does.
_DISPLACED, _UNDISTURBED = 0.7, 0.78
_SMOOTHING = 0.2
# In short steps the clock of the process says little.
_MIN_MEASURED_S = 0.002


class OpenMpSpinControl:
    """Watches what computes. Every call belongs to one thread, the one that computes."""

    def __init__(self, openmp: Any, threads: int) -> None:
        """`openmp` is a loaded library through which GOMP_parallel is found; without it nothing is ever done."""
        self._openmp = openmp if threads > 1 and hasattr(openmp, "GOMP_parallel") else None
        self._threads = threads
        self._share = 1.0
        self._idle_team: _IdleTeam | None = None

    @property
    def is_brief(self) -> bool:
        """Whether the threads spin only briefly now."""
        return self._idle_team is not None

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Something that all threads compute together."""
        if self._openmp is None:
            yield
            return
        began, used = time.monotonic(), time.process_time()
        yield
        self.record_computation(time.monotonic() - began, time.process_time() - used)

    def record_computation(self, took_s: float, used_s: float) -> None:
        """Take note of a computation: its time, and the processor time that this process had meanwhile."""
        if self._openmp is None or took_s < _MIN_MEASURED_S:
            return
        self._share += _SMOOTHING * (min(1.0, used_s / (took_s * self._threads)) - self._share)
        if self._share < _DISPLACED and self._idle_team is None:
            self._idle_team = _IdleTeam(self._openmp)
        elif self._share > _UNDISTURBED:
            self.close()

    def close(self) -> None:
        """Give the surplus threads back."""
        if self._idle_team is not None:
            self._idle_team.stop()
            self._idle_team = None


class _IdleTeam:
    """Sleeping OpenMP threads, so that there are more than processors: then GCC's OpenMP lets all of its threads spin a
    hundred times only, whatever GOMP_SPINCOUNT says (its manual, "GOMP_SPINCOUNT"). It has no other switch at run time.
    """

    def __init__(self, openmp: Any) -> None:
        self._openmp = openmp
        self._over = threading.Event()
        # Its OpenMP threads live as long as the thread that started them.
        threading.Thread(target=self._hold, name="llama-surplus", daemon=True).start()

    def _hold(self) -> None:
        nothing = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p)
        self._openmp.GOMP_parallel(nothing, None, ctypes.c_uint(1 + processor_count()), ctypes.c_uint(0))
        self._over.wait()

    def stop(self) -> None:
        """Let them go."""
        self._over.set()

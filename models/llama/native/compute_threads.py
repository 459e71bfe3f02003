"""How many threads compute: one for each core that other processes leave.

Threads meet dozens of times in a step. One that shares its core with a busy process keeps all others waiting: on two
cores with one busy process two threads are slower than a single one.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from models.llama.plan.hardware import processor_count

_WINDOW_S = 0.1
_STAT = Path("/proc/stat")
# Cores in use by others, beyond the idle ones, above which a thread is withdrawn, and below which it returns. A process
# that never sleeps gets half a core or more where two threads compute on two cores.
_WITHDRAW_ABOVE, _RETURN_BELOW = 0.4, 0.2
# After so long without computing, what others used meanwhile says nothing about now.
_STALE_S, _COMPUTING_CORES = 1.0, 0.5


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Seconds of processor time since some moment in the past: of all processes, and of this one; when it was read.

    `others_running`: threads besides this one that are computing, or could, at that moment; None where it is unknown.
    """

    at_s: float
    all_s: float
    own_s: float
    others_running: int | None = None


def read_cpu_use() -> CpuUse:
    """The processor time used so far. Processes of lower priority than ours do not count: they make way."""
    times = psutil.cpu_times()
    names = ["user", "system", "irq", "softirq"]
    if hasattr(os, "nice") and os.nice(0) > 0:
        names.append("nice")
    all_s = sum(getattr(times, name, 0.0) for name in names)
    return CpuUse(time.monotonic(), all_s, time.process_time(), _count_running())


def _count_running() -> int | None:
    """The runnable threads of the machine besides this one, as Linux tells them."""
    try:
        with _STAT.open("rb") as file:
            line = next((line for line in file if line.startswith(b"procs_running")), None)
    except OSError:
        return None
    return max(0, int(line.split()[1]) - 1) if line is not None else None


def used_by_others(last: CpuUse, now: CpuUse) -> float:
    """The number of cores that other processes use: on average since the last reading, or, when this process has
    hardly computed since, at this moment.
    """
    elapsed_s = max(now.at_s - last.at_s, _WINDOW_S)
    own_s = now.own_s - last.own_s
    if elapsed_s > _STALE_S and own_s < _COMPUTING_CORES * elapsed_s and now.others_running is not None:
        return float(now.others_running)
    return max(0.0, (now.all_s - last.all_s - own_s) / elapsed_s)


def threads_beside(others: float, current: int, most: int, processors: int) -> int:
    """How many of at most `most` threads compute while other processes use so many of the cores; at least 1.

    `current` threads stay between the two thresholds, so that the number does not swing.
    """
    spare = processors - others
    lowest, highest = int(spare + _RETURN_BELOW), int(spare + _WITHDRAW_ABOVE)
    return max(1, min(most, max(lowest, min(current, highest))))


class ComputeThreads:
    """Follows the use of the processor. Used on one thread, the one that computes."""

    def __init__(
        self, most: int, is_fixed: bool, processors: int = 0, read_use: Callable[[], CpuUse] = read_cpu_use
    ) -> None:
        """At most `most` threads, or always so many with `is_fixed`; `processors`: of this process unless given."""
        self._most = most
        self._is_fixed = is_fixed or most == 1
        self._processors = processors or processor_count()
        self._read_use = read_use
        self._last = read_use()
        self.count = most
        """The number of threads that the last call of `adapt` chose."""

    def adapt(self, now_s: float) -> int:
        """The number of threads for the next computation; `now_s` is the monotonic clock."""
        if not self._is_fixed and now_s - self._last.at_s >= _WINDOW_S:
            last, self._last = self._last, self._read_use()
            others = used_by_others(last, self._last)
            self.count = threads_beside(others, self.count, self._most, self._processors)
        return self.count

"""Sandbox limits: memory, CPU time, open files, no writes, dies with its parent."""

import ctypes
import os
import signal
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_OPEN_FILES = 64
_SPARE_CPU_S = 5
"""Added to the parent's timeout, which normally fires first; the CPU limit is for a parent that cannot."""
_NICENESS = 10
"""Reading yields to the model: a busy core slows decoding many times over."""


def die_with_parent(parent_pid: int) -> None:
    """Die with the parent, and gain no privileges. Exits immediately when the parent has ended already."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is handled by the parent
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(0)
    os.nice(_NICENESS)


def apply_limits(memory_mb: int) -> None:
    """Forbid writing, core dumps and more than a few open files, and allow `memory_mb` on top of what is in use.

    Call it after all imports.
    """
    _lower_limit(resource.RLIMIT_FSIZE, 0)
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if sys.platform == "linux":  # macOS accepts this limit but does not enforce it
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _lower_limit(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_mb * 1_000_000)


def extend_cpu_limit(time_limit_s: float) -> None:
    """Allow a little more than `time_limit_s` of CPU time from now on, then die."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + time_limit_s) + _SPARE_CPU_S
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _lower_limit(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))

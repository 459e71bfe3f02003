"""Processors of this machine: those that this process may use, and the fast physical cores among them."""

import ctypes
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import psutil

# Of the capacity of the fastest core: below it a core only makes the others wait. Performance cores differ by less,
# efficiency cores by more.
_FAST_SHARE = 0.7


def processor_count() -> int:
    """Logical processors that this process may use, at least 1."""
    return len(_allowed()) or 1


def _allowed() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def read_sysctl(name: str) -> int:
    """A number that macOS's kernel states about the machine; 0 on other systems, or when it states none."""
    if sys.platform != "darwin":
        return 0
    value = ctypes.c_int(0)
    size = ctypes.c_size_t(ctypes.sizeof(value))
    failed = ctypes.CDLL(None).sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
    return 0 if failed else max(0, value.value)


def fast_core_count(
    root: Path = Path("/"), allowed: Collection[int] | None = None, sysctl: Callable[[str], int] = read_sysctl
) -> int:
    """Fast physical cores among the allowed processors (those of this process unless given), at least 1.

    Threads wait for the slowest of them, so the efficiency cores of a hybrid processor do not count.
    """
    usable = frozenset(_allowed() if allowed is None else allowed)
    fast = _performance_processors(root, usable) or usable
    cores = {core for core in (_core(root, processor) for processor in fast) if core}
    if cores:
        return len(cores)
    if performance_cores := sysctl("hw.perflevel0.physicalcpu"):
        return performance_cores
    logical = psutil.cpu_count() or len(fast)
    physical = psutil.cpu_count(logical=False) or logical
    return max(1, len(fast) * physical // max(1, logical))


def _performance_processors(root: Path, allowed: frozenset[int]) -> frozenset[int]:
    """The fast processors where the system tells them apart: Intel's hybrid ones, or ARM's by their capacity."""
    hybrid = _read(root / "sys/devices/cpu_core/cpus")
    if hybrid:
        return allowed & _parse_list(hybrid)
    capacities = {
        processor: int(text)
        for processor in allowed
        if (text := _read(root / f"sys/devices/system/cpu/cpu{processor}/cpu_capacity")).isdigit()
    }
    most = max(capacities.values(), default=0)
    return frozenset(processor for processor, each in capacities.items() if each >= _FAST_SHARE * most)


def _core(root: Path, processor: int) -> str:
    """The processors that share a physical core with this one, as the system lists them; empty when unknown."""
    return _read(root / f"sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")


def _parse_list(text: str) -> frozenset[int]:
    """The numbers of a list such as `0-3,8`."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            numbers.update(range(int(first), int(last if last.isdigit() else first) + 1))
    return frozenset(numbers)


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""

"""Hardware of this machine: cores, free memory and GPU memory."""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_CGROUP = Path("/sys/fs/cgroup")
_GPU_DEVICE_TYPES = (1, 2)  # GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory of all GPUs together, in bytes; both 0 without a GPU."""

    free_bytes: int = 0
    total_bytes: int = 0


def processor_count() -> int:
    """Logical processors that this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Physical cores that this process may use, at least 1: more threads than that only wait for each other."""
    affinity = processor_count()
    logical = psutil.cpu_count() or affinity
    physical = psutil.cpu_count(logical=False) or logical
    share = affinity * physical / max(1, logical)
    quota = _cpu_quota(cgroup)
    return max(1, int(min(share, quota) if quota is not None else share))


def _cpu_quota(cgroup: Path) -> float | None:
    """CPU quota of the container in cores; None without a quota."""
    try:
        quota, period = (cgroup / "cpu.max").read_text("ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def free_memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Bytes of memory available without swapping, within the container's limit."""
    available = psutil.virtual_memory().available
    try:
        limit = int((cgroup / "memory.max").read_text("ascii"))
        used = int((cgroup / "memory.current").read_text("ascii")) - _reclaimable_bytes(cgroup)
    except (OSError, ValueError):
        return available
    return max(0, min(available, limit - used))


def total_memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Bytes of memory of the machine, or of the container where that is less."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int((cgroup / "memory.max").read_text("ascii")))
    except (OSError, ValueError):
        return total


def _reclaimable_bytes(cgroup: Path) -> int:
    """Bytes of file pages that count as used in a container but are reclaimed under pressure."""
    for line in (cgroup / "memory.stat").read_text("ascii").splitlines():
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def gpu_memory(ggml: Any) -> GpuMemory:
    """Memory of the GPUs that `ggml`, its loaded library, was built for."""
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    free_bytes = total_bytes = 0
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        if ggml.ggml_backend_dev_type(device) in _GPU_DEVICE_TYPES:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            free_bytes += free.value
            total_bytes += total.value
    return GpuMemory(free_bytes, total_bytes)

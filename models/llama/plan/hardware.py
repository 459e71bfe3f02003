"""Hardware of this machine: cores for computing, free memory, and GPU memory."""

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from models.llama.plan.cgroups import cpu_quota, memory_limits
from models.llama.plan.processors import fast_core_count, processor_count

__all__ = ["GpuMemory", "free_memory_bytes", "gpu_memory", "processor_count", "total_memory_bytes", "usable_cores"]

_ROOT = Path("/")
_DISCRETE_GPU, _INTEGRATED_GPU = 1, 2  # GGML_BACKEND_DEVICE_TYPE_GPU and _IGPU


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory of all GPUs together, in bytes; both 0 without a GPU. `is_shared`: it is part of the main memory."""

    free_bytes: int = 0
    total_bytes: int = 0
    cards: int = 1
    is_shared: bool = False


def usable_cores(root: Path = _ROOT) -> int:
    """Fast physical cores that this process may use, at least 1: more threads than that only wait for each other."""
    cores, quota = fast_core_count(root), cpu_quota(root)
    return max(1, int(min(cores, quota) if quota is not None else cores))


def free_memory_bytes(root: Path = _ROOT) -> int:
    """Bytes of memory available without swapping, within the limits of containers and services."""
    available = psutil.virtual_memory().available + _reclaimable_arc_bytes(root)
    return min([available, *(limit.free_bytes for limit in memory_limits(root))])


def total_memory_bytes(root: Path = _ROOT) -> int:
    """Bytes of memory of the machine, or of the container or service where that is less."""
    return min([psutil.virtual_memory().total, *(limit.limit_bytes for limit in memory_limits(root))])


def _reclaimable_arc_bytes(root: Path) -> int:
    """Bytes of ZFS's cache above its minimum: they count as used, and are given back under pressure."""
    try:
        lines = (root / "proc/spl/kstat/zfs/arcstats").read_text("ascii").splitlines()
        values = {
            fields[0]: int(fields[2]) for fields in map(str.split, lines) if len(fields) == 3 and fields[2].isdigit()
        }
    except (OSError, UnicodeDecodeError):
        return 0
    return max(0, values.get("size", 0) - values.get("c_min", 0))


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """A device of ggml: its type (ggml's number), and bytes of memory."""

    kind: int
    free_bytes: int
    total_bytes: int


def gpu_memory(ggml: Any) -> GpuMemory:
    """Memory of the GPUs that `ggml`, its loaded library, was built for."""
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    devices = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        devices.append(GpuDevice(ggml.ggml_backend_dev_type(device), free.value, total.value))
    return sum_gpu_memory(devices, sys.platform)


def sum_gpu_memory(devices: list[GpuDevice], platform: str) -> GpuMemory:
    """The memory that llama.cpp uses of these devices: it leaves out integrated GPUs next to a discrete one."""
    discrete = [device for device in devices if device.kind == _DISCRETE_GPU]
    used = discrete or [device for device in devices if device.kind == _INTEGRATED_GPU]
    return GpuMemory(
        sum(device.free_bytes for device in used),
        sum(device.total_bytes for device in used),
        max(1, len(used)),
        # Apple's GPUs are reported as discrete ones, and share the main memory all the same.
        is_shared=bool(used) and (not discrete or platform == "darwin"),
    )

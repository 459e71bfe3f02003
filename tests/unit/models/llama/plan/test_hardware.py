from pathlib import Path

import pytest

from models.llama.plan.hardware import (
    GpuDevice,
    GpuMemory,
    free_memory_bytes,
    sum_gpu_memory,
    total_memory_bytes,
    usable_cores,
)

_CARD, _CHIP, _PROCESSOR = GpuDevice(1, 6, 8), GpuDevice(2, 10, 16), GpuDevice(0, 20, 32)


def _container(root: Path, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/\n")
    (root / "sys/fs/cgroup").mkdir(parents=True)
    for name, text in files.items():
        (root / "sys/fs/cgroup" / name).write_text(text)
    return root


def test_a_container_without_limits_leaves_the_machine_as_it_is(tmp_path: Path) -> None:
    root = _container(tmp_path, {"cpu.max": "max 100000\n"})
    assert usable_cores(root) == usable_cores(root / "nowhere") >= 1


@pytest.mark.parametrize(("quota", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("nonsense", None)])
def test_a_container_quota_bounds_the_threads(tmp_path: Path, quota: str, cores: int | None) -> None:
    root = _container(tmp_path, {"cpu.max": quota})
    assert usable_cores(root) == (cores or usable_cores(root / "nowhere"))


def test_a_container_limit_bounds_the_memory_and_file_pages_do_not_count(tmp_path: Path) -> None:
    root = _container(
        tmp_path,
        {
            "memory.max": "1000000\n",
            "memory.current": "700000\n",
            "memory.stat": "anon 300000\ninactive_file 400000\n",
        },
    )
    assert free_memory_bytes(root) == 700_000
    assert total_memory_bytes(root) == 1_000_000


def test_without_a_container_limit_free_memory_is_the_machines(tmp_path: Path) -> None:
    assert free_memory_bytes(tmp_path) > 1_000_000


def test_the_cache_of_zfs_is_free_but_for_its_minimum(tmp_path: Path) -> None:
    without = free_memory_bytes(tmp_path)
    folder = tmp_path / "proc/spl/kstat/zfs"
    folder.mkdir(parents=True)
    (folder / "arcstats").write_text(f"name type data\nsize 4 {1 << 50}\nc_min 4 {1 << 40}\n")
    assert free_memory_bytes(tmp_path) > without + (1 << 49)


@pytest.mark.parametrize(
    ("devices", "platform", "memory"),
    [
        ([], "linux", GpuMemory()),
        ([_PROCESSOR], "linux", GpuMemory()),
        ([_CARD, _PROCESSOR], "linux", GpuMemory(6, 8, 1)),
        ([_CARD, _CARD], "linux", GpuMemory(12, 16, 2)),
        ([_CHIP, _CARD], "linux", GpuMemory(6, 8, 1)),  # llama.cpp leaves the chip out
        ([_CHIP], "linux", GpuMemory(10, 16, 1, is_shared=True)),
        ([_CARD], "darwin", GpuMemory(6, 8, 1, is_shared=True)),
    ],
)
def test_gpu_memory_is_that_of_the_gpus_in_use(devices: list[GpuDevice], platform: str, memory: GpuMemory) -> None:
    assert sum_gpu_memory(devices, platform) == memory

from pathlib import Path

import pytest

from models.llama.plan.cgroups import cpu_quota, memory_limits


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


_SERVICE = "sys/fs/cgroup/system.slice/hearth.service"
_DOCKER = "sys/fs/cgroup/memory/docker/abc"


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limits(tmp_path) == []
    assert cpu_quota(tmp_path) is None


def test_the_limits_of_a_service_and_of_the_groups_around_it_are_seen(tmp_path: Path) -> None:
    root = _write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/hearth.service\n",
            f"{_SERVICE}/memory.max": "1000\n",
            f"{_SERVICE}/memory.current": "600\n",
            f"{_SERVICE}/memory.stat": "anon 100\ninactive_file 200\n",
            f"{_SERVICE}/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/system.slice/memory.max": "max\n",
            "sys/fs/cgroup/system.slice/cpu.max": "100000 100000\n",
        },
    )
    (limit,) = memory_limits(root)
    assert (limit.limit_bytes, limit.free_bytes) == (1000, 600)
    assert cpu_quota(root) == 1.0


def test_the_limits_of_a_container_with_a_namespace_are_at_the_root(tmp_path: Path) -> None:
    root = _write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "500\n",
            "sys/fs/cgroup/memory.current": "100\n",
            "sys/fs/cgroup/memory.stat": "",
            "sys/fs/cgroup/cpu.max": "50000 100000\n",
        },
    )
    assert [limit.free_bytes for limit in memory_limits(root)] == [400]
    assert cpu_quota(root) == 0.5


@pytest.mark.parametrize("folder", [_DOCKER, "sys/fs/cgroup/memory"])
def test_limits_of_version_1_are_seen_also_where_the_path_is_the_hosts(tmp_path: Path, folder: str) -> None:
    cpu = folder.replace("memory", "cpu")
    root = _write(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n",
            f"{folder}/memory.limit_in_bytes": "1000\n",
            f"{folder}/memory.usage_in_bytes": "500\n",
            f"{folder}/memory.stat": "total_inactive_file 100\n",
            f"{cpu}/cpu.cfs_quota_us": "200000\n",
            f"{cpu}/cpu.cfs_period_us": "100000\n",
        },
    )
    assert [limit.free_bytes for limit in memory_limits(root)] == [600]
    assert cpu_quota(root) == 2.0


def test_version_1_without_limits(tmp_path: Path) -> None:
    root = _write(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/\n4:cpu,cpuacct:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "500\n",
            "sys/fs/cgroup/memory/memory.stat": "",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert memory_limits(root) == []
    assert cpu_quota(root) is None


@pytest.mark.parametrize("text", ["", "nonsense", "0::", "::::\n:\n"])
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, text: str) -> None:
    root = _write(tmp_path, {"proc/self/cgroup": text, "sys/fs/cgroup/cpu.max": "nonsense"})
    assert memory_limits(root) == []
    assert cpu_quota(root) is None

"""Limits of this process's control groups: a container's, and a systemd unit's (`MemoryMax=`, `CPUQuota=`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 1 << 60
"""Version 1 states no limit as a number near 2^63."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """The limit of a group, and what it uses without file pages that are reclaimed under pressure; bytes."""

    limit_bytes: int
    used_bytes: int

    @property
    def free_bytes(self) -> int:
        """Bytes that the group may still take."""
        return max(0, self.limit_bytes - self.used_bytes)


def memory_limits(root: Path = Path("/")) -> list[MemoryLimit]:
    """The limits of all groups that this process is in, the innermost first; empty without any."""
    limits = [_memory_limit(folder, "memory.max", "memory.current", "inactive_file") for folder in _folders(root, "")]
    limits += [
        _memory_limit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        for folder in _folders(root, "memory")
    ]
    return [limit for limit in limits if limit is not None]


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The smallest quota of processor time of all groups, in cores; None without any."""
    quotas = [_unified_quota(folder) for folder in _folders(root, "")]
    quotas += [_legacy_quota(folder) for folder in _folders(root, "cpu")]
    return min((quota for quota in quotas if quota is not None), default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The folder of this process's group and those of the groups around it; `controller` is empty for version 2.

    Inside a container the path may be the host's: then only the mounted root is there.
    """
    group = _group_path(root, controller)
    if group is None:
        return
    mount = root / "sys/fs/cgroup" / controller
    parts = [part for part in group.split("/") if part not in ("", "..")]
    for length in range(len(parts), -1, -1):
        folder = mount.joinpath(*parts[:length])
        if folder.is_dir():
            yield folder


def _group_path(root: Path, controller: str) -> str | None:
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):
            return path
    return None


def _memory_limit(folder: Path, limit: str, used: str, reclaimable: str) -> MemoryLimit | None:
    try:
        limit_bytes = int((folder / limit).read_text("ascii"))
        used_bytes = int((folder / used).read_text("ascii")) - _statistic(folder / "memory.stat", reclaimable)
    except (OSError, ValueError):  # also "max": no limit
        return None
    return MemoryLimit(limit_bytes, used_bytes) if limit_bytes < _NO_LIMIT else None


def _statistic(file: Path, name: str) -> int:
    for line in file.read_text("ascii").splitlines():
        if line.startswith(f"{name} "):
            return int(line.split()[1])
    return 0


def _unified_quota(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text("ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _legacy_quota(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text("ascii"))
        return quota / int((folder / "cpu.cfs_period_us").read_text("ascii")) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None

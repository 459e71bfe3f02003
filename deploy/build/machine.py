"""Build machine: compilers, processor, memory, the cache folder of builds, and locks between processes."""

import contextlib
import fcntl
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.build.progress import SetupFailed


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder that outlives checkouts: `$HEARTH_CACHE`, else `~/.cache/hearth`."""
    return Path(environment.get("HEARTH_CACHE") or "~/.cache/hearth").expanduser().absolute()


@contextlib.contextmanager
def file_lock(path: Path, activity: str) -> Iterator[None]:
    """Hold a lock between processes, with a message while waiting. The kernel releases it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting: another process is {activity} ({path}).", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def require_compiler(environment: Mapping[str, str]) -> None:
    """Raise SetupFailed unless a C and a C++ compiler are installed."""
    for language, variable, default_names in (
        ("C", "CC", ("cc", "gcc", "clang")),
        ("C++", "CXX", ("c++", "g++", "clang++")),
    ):
        names = tuple(environment.get(variable, "").split()[:1]) or default_names
        if not any(shutil.which(name, path=environment.get("PATH")) for name in names):
            raise SetupFailed(
                f"No {language} compiler was found (looked for {', '.join(names)}), and the language model's engine is "
                "compiled on this machine. On Debian or Ubuntu: sudo apt install build-essential. "
                "With a ready wheel none is needed: make LLAMA_WHEEL=file ..."
            )


def processor_features() -> str:
    """Return what `-march=native` depends on: all instruction sets the kernel reports, or the processor's brand.

    A kernel that reports another set costs one more compile; a wheel with instructions that the processor lacks would
    kill the program without a message.
    """
    if sys.platform == "darwin":
        query = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    return instruction_sets(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))


def instruction_sets(cpuinfo: str) -> str:
    """Return the sorted flags of the first processor in the text of /proc/cpuinfo; empty when it lists none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return " ".join(sorted(value.split()))
    return ""


def c_library() -> str:
    """Identify the C library: a wheel compiled against a newer one does not load with an older one."""
    return "-".join((sys.platform, platform.machine(), *platform.libc_ver()))


def compile_jobs() -> int:
    """Return the number of parallel compilers: one per core, as far as there is 1 GiB of memory for each.

    The largest translation units of llama.cpp peak between 0.6 and 0.9 GiB with GCC 12.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                cores = min(cores, int(value.split()[0]) // 2**20)
    return max(1, cores)

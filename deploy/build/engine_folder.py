"""Engine builds unpacked into folders of their own, for benchmarks that run on another build than `.venv` has.

Such a folder on PYTHONPATH comes before the environment's packages: `llama_cpp` and its version are its own.
"""

import os
import platform
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from deploy.build import llama, machine
from deploy.build.progress import SetupFailed
from deploy.build.test_services import build_once


def isa_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for `plan_build` that ISA asks for: `native` (the default), or `avx2`, the portable build.

    Raises SetupFailed for other instruction sets and for `avx2` on another architecture.
    """
    isa = environment.get("ISA") or "native"
    if isa not in ("native", "avx2"):
        raise SetupFailed(f"ISA={isa} is neither native (this processor's) nor avx2.", status=2)
    if isa == "avx2" and platform.machine() != "x86_64":
        raise SetupFailed(f"ISA=avx2 is for x86-64 processors; this is {platform.machine()}.", status=2)
    return {**environment, "NATIVE": "0"} if isa == "avx2" else dict(environment)


def engine_folder(environment: Mapping[str, str]) -> Path:
    """Return the unpacked wheel of the build that BACKEND, NATIVE and LLAMA choose, compiled first if necessary.

    Raises SetupFailed with the end of the log.
    """
    build = llama.plan_build(environment)
    cache = machine.cache_folder(environment)

    def unpack(folder: Path) -> None:
        wheel = llama.find_wheel(build, cache)
        if wheel is None:
            llama.require_tools(build, environment)
            wheel = llama.compile_wheel(build, cache, environment)
        with zipfile.ZipFile(wheel) as files:
            files.extractall(folder)

    return build_once(cache / "engines" / build.name, unpack)


def main() -> int:
    """Print the folder for the instruction set ISA, or an empty line for this processor's own; returns the status."""
    try:
        environment = isa_environment(os.environ)
        is_native = environment.get("ISA", "native") in ("", "native")
        print("" if is_native else engine_folder(environment))
    except SetupFailed as failure:
        print(failure, file=sys.stderr)
        return failure.status
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Compiles llama.cpp's own server from llama-cpp-python's pinned source package, for `make bench-engine` only.

It runs on the libraries of the stock build (LLAMA=stock) for the same backend and instruction set: the benchmark
compares Hearth, with its changes, to llama.cpp as its authors publish it. Like the engine's wheel it is built once and
kept in the cache folder; the product and its tests never need it.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.build import machine
from deploy.build.engine_folder import engine_folder, isa_environment
from deploy.build.llama_source import VENDORED, unpack_source
from deploy.build.packages import LOCKS, install_build_tools
from deploy.build.progress import CommandFailed, SetupFailed, parse_compile_step, run_with_progress
from deploy.build.test_services import build_once

PROJECT = Path(__file__).with_name("llama-server")
PROGRAM = "llama-server"


def server_program(environment: Mapping[str, str]) -> Path:
    """Return the path of the server, compiled first if necessary. Start it with `server_environment`.

    Raises SetupFailed with the end of the log.
    """
    cache = machine.cache_folder(environment)

    def make(folder: Path) -> None:
        machine.require_compiler(environment)
        print("Compiling llama.cpp's own server for comparison: 5 to 15 minutes, once.", file=sys.stderr)
        work_folder = folder / "making"
        work_folder.mkdir(parents=True)
        _compile_in(work_folder, cache / "logs", environment)
        (work_folder / "build" / "bin" / PROGRAM).rename(folder / PROGRAM)
        shutil.rmtree(work_folder)

    return build_once(cache / PROGRAM / build_key(), make) / PROGRAM


def build_key() -> str:
    """Return a name that differs whenever the server may differ, by its sources and the machine.

    The libraries it needs are built from the same sources and found when it starts.
    """
    parts = [
        (LOCKS / "engine.lock").read_text(encoding="utf-8"),
        (PROJECT / "CMakeLists.txt").read_text(encoding="utf-8"),
        machine.c_library(),
        machine.processor_features(),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def server_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the server process, in which it finds the libraries of the stock build.

    Raises SetupFailed when they cannot be compiled.
    """
    paths = [str(library_folder(environment)), environment.get("LD_LIBRARY_PATH", "")]
    return {**environment, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths))}


def library_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of libllama and libggml of the stock build for BACKEND and ISA, compiled first if necessary.

    Raises SetupFailed with the end of the log.
    """
    return engine_folder({**isa_environment(environment), "LLAMA": "stock"}) / "llama_cpp" / "lib"


def _compile_in(work_folder: Path, logs: Path, environment: Mapping[str, str]) -> None:
    tools = install_build_tools(work_folder, logs, environment)
    build_environment = {**environment, "PATH": f"{tools / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"}
    source = unpack_source(tools, work_folder, logs / "llama-server-sources.log", environment) / VENDORED
    build = work_folder / "build"
    _run(
        ["cmake", "-G", "Ninja", "-S", PROJECT, "-B", build, *_definitions(source, environment)],
        "Configuring",
        logs,
        build_environment,
    )
    jobs = environment.get("CMAKE_BUILD_PARALLEL_LEVEL") or str(machine.compile_jobs())
    _run(["ninja", "-C", build, "-j", jobs, PROGRAM], "Server", logs, build_environment)


def _definitions(source: Path, environment: Mapping[str, str]) -> list[str]:
    libraries = library_folder(environment)
    return ["-DCMAKE_BUILD_TYPE=Release", f"-DLLAMA_SOURCE={source}", f"-DLLAMA_LIBRARIES={libraries}"]


def _run(command: list[str | Path], label: str, logs: Path, environment: Mapping[str, str]) -> None:
    log = logs / f"llama-server-{label.lower()}.log"
    try:
        run_with_progress(command, label, parse_compile_step, log, environment)
    except CommandFailed as failure:
        raise SetupFailed(
            "\n".join(failure.tail)
            + f"\n\nllama.cpp's own server could not be built, so there is nothing to compare with. Log: {log}"
        ) from failure


def main() -> int:
    """Compile the server if necessary; returns the exit status."""
    try:
        server_program(dict(os.environ))
    except SetupFailed as failure:
        print(failure, file=sys.stderr)
        return failure.status
    return 0


if __name__ == "__main__":
    sys.exit(main())

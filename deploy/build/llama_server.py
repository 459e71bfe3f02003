"""Compiles llama.cpp's own server from llama-cpp-python's pinned source package, for `make bench-engine` only.

It runs on the libraries of Hearth's environment, so that both sides of the benchmark compute with the same code. Like
the engine's wheel it is built once and kept in the cache folder; the product and its tests never need it.
"""

import hashlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.build import machine
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
    """Return the environment for the server process, in which it finds the libraries of Hearth's engine."""
    paths = [str(library_folder()), environment.get("LD_LIBRARY_PATH", "")]
    return {**environment, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths))}


def library_folder() -> Path:
    """Return the folder of libllama and libggml in this environment. Raises SetupFailed when the engine is missing."""
    found = importlib.util.find_spec("llama_cpp")
    if found is None or found.origin is None:
        raise SetupFailed("The language model's engine is not installed here; `make environment` does it.")
    return Path(found.origin).with_name("lib")


def _compile_in(work_folder: Path, logs: Path, environment: Mapping[str, str]) -> None:
    tools = install_build_tools(work_folder, logs, environment)
    build_environment = {**environment, "PATH": f"{tools / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"}
    _run(_download(tools, work_folder), "Sources", logs, build_environment)
    (archive,) = work_folder.glob("llama_cpp_python-*.tar.gz")
    _run(["tar", "-xzf", archive, "-C", work_folder], "Unpacking", logs, build_environment)
    (source,) = work_folder.glob("llama_cpp_python-*/vendor/llama.cpp")
    build = work_folder / "build"
    _run(
        ["cmake", "-G", "Ninja", "-S", PROJECT, "-B", build, *_definitions(source)],
        "Configuring",
        logs,
        build_environment,
    )
    jobs = environment.get("CMAKE_BUILD_PARALLEL_LEVEL") or str(machine.compile_jobs())
    _run(["ninja", "-C", build, "-j", jobs, PROGRAM], "Server", logs, build_environment)


def _download(tools: Path, folder: Path) -> list[str | Path]:
    command: list[str | Path] = [tools / "bin" / "python", "-m", "pip", "download", "--progress-bar", "raw"]
    # Even a download runs the package's build backend for its metadata: with the locked tools.
    command += ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    return [*command, "--dest", folder, "--requirement", LOCKS / "engine.lock"]


def _definitions(source: Path) -> list[str]:
    return ["-DCMAKE_BUILD_TYPE=Release", f"-DLLAMA_SOURCE={source}", f"-DLLAMA_LIBRARIES={library_folder()}"]


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

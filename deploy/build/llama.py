"""Compiles llama-cpp-python from its pinned source package, once per version, patches, backend, flags and processor.

The wheel is tagged py3-none, so that it serves every Python of the machine. It is kept in the cache folder, so that a
new checkout or a new `.venv` does not compile again.
"""

import hashlib
import os
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.build import llama_source, machine
from deploy.build.packages import LOCKS, install_build_tools
from deploy.build.progress import CommandFailed, SetupFailed, parse_compile_step, run_with_progress

CMAKE_INCLUDE = Path(__file__).with_name("llama-build.cmake")


@dataclass(frozen=True)
class Backend:
    """A backend of llama.cpp: CMake flags, and the compiler driver without which CMake would fail late."""

    flags: tuple[str, ...]
    tool: str = ""
    package: str = ""


BACKENDS = {
    "cpu": Backend(()),
    "cuda": Backend(("-DGGML_CUDA=ON",), "nvcc", "nvidia-cuda-toolkit, or NVIDIA's own packages"),
    "vulkan": Backend(("-DGGML_VULKAN=ON",), "glslc", "glslc libvulkan-dev spirv-headers"),
    "rocm": Backend(("-DGGML_HIP=ON",), "hipcc", "hipcc rocm-dev, or AMD's own packages"),
    "metal": Backend(("-DGGML_METAL=ON", "-DGGML_METAL_EMBED_LIBRARY=ON")),
}

# Parts that Hearth does not use: image models (llava) and TLS for a downloader that is not built.
DISABLED_FLAGS = ("-DLLAVA_BUILD=OFF", "-DLLAMA_OPENSSL=OFF")

# For container images: x86-64-v3, which every Intel processor since Haswell (2013) and every AMD one since Excavator
# (2015) supports, except for Atoms and Celerons of that time. Without AVX2 and F16C decoding would be several times
# slower. Other architectures keep the compiler's own baseline (armv8-a), so that a Raspberry Pi 4 runs it, too.
PORTABLE_FLAGS = {
    "x86_64": tuple(f"-DGGML_{name}=ON" for name in ("SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C")),
}

# Variables that change the output of a compiler.
COMPILER_VARIABLES = ("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CUDACXX", "CUDAARCHS", "HIPCXX", "CMAKE_ARGS")


@dataclass(frozen=True)
class EngineBuild:
    """One build configuration: the flags for CMake, and a key that differs whenever the result may differ."""

    backend: str
    flags: tuple[str, ...]
    patches: tuple[Path, ...]
    key: str

    @property
    def name(self) -> str:
        """The folder of the wheel in the cache."""
        return f"{self.backend}-{self.key}"


def plan_build(environment: Mapping[str, str]) -> EngineBuild:
    """Choose the build from BACKEND, NATIVE, LLAMA and the compiler's own variables; raises SetupFailed."""
    backend = environment.get("BACKEND") or "cpu"
    if backend not in BACKENDS:
        raise SetupFailed(f"BACKEND={backend} is not one of {', '.join(BACKENDS)}.", status=2)
    if backend == "metal" and sys.platform != "darwin":
        raise SetupFailed("BACKEND=metal needs a Mac. For this machine: cpu, cuda, vulkan or rocm.", status=2)
    native = environment.get("NATIVE") or "1"
    if native not in ("0", "1"):
        raise SetupFailed(f"NATIVE={native} is neither 0 (any machine) nor 1 (this machine).", status=2)
    sources = environment.get("LLAMA") or "patched"
    if sources not in ("patched", "stock"):
        raise SetupFailed(f"LLAMA={sources} is neither patched (Hearth's changes) nor stock (none).", status=2)
    patches = llama_source.patch_series() if sources == "patched" else ()
    flags = [*BACKENDS[backend].flags, *DISABLED_FLAGS]
    if native == "0":
        flags += ["-DGGML_NATIVE=OFF", *PORTABLE_FLAGS.get(platform.machine(), ())]
    return EngineBuild(backend, tuple(flags), patches, _key(flags, patches, native == "1", environment))


def _key(flags: list[str], patches: tuple[Path, ...], native: bool, environment: Mapping[str, str]) -> str:
    parts = [
        (LOCKS / "engine.lock").read_text(encoding="utf-8"),
        CMAKE_INCLUDE.read_text(encoding="utf-8"),
        llama_source.version_label(patches),
        llama_source.NOTICE.read_text(encoding="utf-8") if patches else "",
        machine.c_library(),
        machine.processor_features() if native else "",
        *flags,
        *(f"{name}={environment.get(name, '')}" for name in COMPILER_VARIABLES),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def find_wheel(build: EngineBuild, cache: Path) -> Path | None:
    """Return the cached wheel of a build, None when there is none."""
    return next(iter(sorted((cache / "wheels" / build.name).glob("llama_cpp_python-*.whl"))), None)


def require_tools(build: EngineBuild, environment: Mapping[str, str]) -> None:
    """Raise SetupFailed when a build tool is missing, before anything is downloaded."""
    machine.require_compiler(environment)
    llama_source.require_git(build.patches, environment)
    backend = BACKENDS[build.backend]
    if backend.tool and not shutil.which(backend.tool, path=_tool_path(environment)):
        raise SetupFailed(
            f"BACKEND={build.backend} needs {backend.tool}, which was not found on the path. "
            f"On Debian or Ubuntu: install {backend.package}. Without it: BACKEND=cpu."
        )


def _tool_path(environment: Mapping[str, str]) -> str:
    # The packages of the GPU vendors install outside the usual path.
    return os.pathsep.join((environment.get("PATH", os.defpath), "/usr/local/cuda/bin", "/opt/rocm/bin"))


def compile_wheel(build: EngineBuild, cache: Path, environment: Mapping[str, str]) -> Path:
    """Compile a build, unless another process has meanwhile; returns the wheel in the cache.

    The finished wheel is renamed into place; the next compile removes what an interrupted one left.
    Raises SetupFailed with the end of the log.
    """
    with machine.file_lock(cache / "wheels" / ".lock", "compiling llama-cpp-python"):
        if found := find_wheel(build, cache):
            return found
        for leftover in (cache / "wheels").glob(".making-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            prefix=".making-", dir=cache / "wheels", ignore_cleanup_errors=True
        ) as work_folder:
            _compile_in(Path(work_folder), build, cache, environment)
            (Path(work_folder) / "out").rename(cache / "wheels" / build.name)
    wheel = find_wheel(build, cache)
    if wheel is None:
        raise SetupFailed(f"The compile left no wheel in {cache / 'wheels' / build.name}. Remove it and try again.")
    return wheel


def _compile_in(work_folder: Path, build: EngineBuild, cache: Path, environment: Mapping[str, str]) -> None:
    log = cache / "logs" / f"llama-{build.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    tools = install_build_tools(work_folder, work_folder, environment)
    source = llama_source.unpack_source(tools, work_folder, log.with_suffix(".sources.log"), environment)
    llama_source.apply_patches(source, build.patches, environment)
    command: list[str | Path] = [tools / "bin" / "python", "-m", "pip", "wheel", "--verbose", "--no-deps"]
    # pip's own wheel cache ignores the flags; without isolation it builds with the locked tools.
    command += ["--no-cache-dir", "--no-build-isolation", "--no-index", "--wheel-dir", work_folder / "out", source]
    changes = f"with {len(build.patches)} changes of Hearth's" if build.patches else "as it is"
    print(f"Compiling llama.cpp {changes} for {build.backend}: minutes, once. Log: {log}", file=sys.stderr)
    try:
        run_with_progress(
            command, "Engine", parse_compile_step, log, compile_environment(build, tools, work_folder, environment)
        )
    except CommandFailed as failure:
        raise SetupFailed(
            "\n".join(failure.tail)
            + f"\n\nllama-cpp-python did not compile for {build.backend}. The whole log: {log}\n"
            "Common causes: too little memory (CMAKE_BUILD_PARALLEL_LEVEL=1 helps) or disk; for a GPU, a missing part "
            "of its toolkit, or a toolkit that does not support this compiler (BACKEND=cpu needs none)."
        ) from failure


def compile_environment(
    build: EngineBuild, tools: Path, work_folder: Path, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of the compile: locked tools first on the path, the admin's CMAKE_ARGS after our flags."""
    flags = [f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={CMAKE_INCLUDE.absolute()}", *build.flags]
    jobs = environment.get("CMAKE_BUILD_PARALLEL_LEVEL") or str(machine.compile_jobs())
    return {
        **environment,
        "PATH": f"{tools / 'bin'}{os.pathsep}{_tool_path(environment)}",
        "TMPDIR": str(work_folder),
        "CMAKE_GENERATOR": "Ninja",
        "CMAKE_BUILD_PARALLEL_LEVEL": jobs,
        "CMAKE_ARGS": " ".join([shlex.join(flags), environment.get("CMAKE_ARGS", "")]).strip(),
    }


def check_wheel(path: Path) -> Path:
    """Check that a wheel built elsewhere (LLAMA_WHEEL) exists and has the locked version; raises SetupFailed."""
    if not path.is_file():
        raise SetupFailed(f"LLAMA_WHEEL={path} is not a file.", status=2)
    required = llama_source.locked_version()
    name, _, version = path.name.partition("-")
    if name != "llama_cpp_python" or version.split("-")[0].split("+")[0] != required:
        raise SetupFailed(f"LLAMA_WHEEL={path} is not a wheel of llama-cpp-python {required}.", status=2)
    return path.absolute()

"""Resolves the locks from pyproject.toml: universal, with the hashes of every published file, without an index URL."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.build.packages import LOCKS, install_locked
from deploy.build.progress import SetupFailed

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "build" / "lock"
OLDEST_PYTHON = "3.11"
HEADER = "# Written by `make lock` from pyproject.toml: Python 3.11 and newer, every platform. Do not edit.\n"

# Wheels only (except the engine), so that nothing else is compiled and no build tool is installed unlocked.
RESOLVE_OPTIONS = ("--universal", "--python-version", OLDEST_PYTHON, "--no-config", "--quiet")
WRITE_OPTIONS = ("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
WHEEL_OPTIONS = ("--only-binary", ":all:", "--no-binary", "llama-cpp-python")

# Each resolution constrains the next ones: a package in several locks has one version.
INPUTS: dict[str, tuple[str, ...]] = {
    "requirements": ("pyproject.toml", "--no-emit-package", "llama-cpp-python"),
    "requirements-dev": (
        "pyproject.toml",
        "--group",
        "pyproject.toml:dev",
        "--extra",
        "ocr",
        "--no-emit-package",
        "llama-cpp-python",
    ),
    "ocr": ("pyproject.toml", "--extra", "ocr", "--no-emit-package", "llama-cpp-python"),
    "bootstrap": ("--group", "pyproject.toml:bootstrap"),
    "build": ("--group", "pyproject.toml:build"),
    "lock": ("--group", "pyproject.toml:lock"),
    "engine": ("--group", "pyproject.toml:engine", "--no-deps"),
    "synapse": ("--group", "pyproject.toml:synapse"),
}


def install_uv() -> Path:
    """Install the resolver itself from its lock; `$UV` names another one, for example for the very first lock."""
    if chosen := os.environ.get("UV"):
        return Path(chosen)
    subprocess.run([sys.executable, "-m", "venv", "--clear", TOOLS], check=True)
    install_locked(TOOLS, "bootstrap", TOOLS, os.environ, "Installer")
    install_locked(TOOLS, "lock", TOOLS, os.environ, "Resolver")
    return TOOLS / "bin" / "uv"


def resolve_lock(resolver: Path, name: str, upgrade: bool) -> None:
    """Resolve one lock; its versions are kept, unless `upgrade` is set or pyproject.toml excludes them."""
    target = LOCKS / f"{name}.lock"
    command: list[str | Path] = [
        resolver,
        "pip",
        "compile",
        *RESOLVE_OPTIONS,
        *WRITE_OPTIONS,
        *WHEEL_OPTIONS,
        *INPUTS[name],
        "--output-file",
        target,
    ]
    if upgrade:
        command.append("--upgrade")
    first = next(iter(INPUTS))
    if name != first:
        command += ["--constraint", LOCKS / f"{first}.lock"]
    subprocess.run(command, cwd=ROOT, check=True)
    target.write_text(HEADER + target.read_text(encoding="utf-8").removeprefix(HEADER), encoding="utf-8")


def main() -> int:
    """Resolve all locks; returns the exit status."""
    try:
        resolver = install_uv()
        for name in INPUTS:
            print(f"Resolving {name}.lock", file=sys.stderr)
            resolve_lock(resolver, name, bool(os.environ.get("UPGRADE")))
    except SetupFailed as failure:
        print(failure, file=sys.stderr)
        return failure.status
    except subprocess.CalledProcessError as failure:
        return failure.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Installs a lock into an environment: wheels only, every hash checked, from the index that pip is configured with."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.build.progress import CommandFailed, SetupFailed, pip_step_parser, run_with_progress

LOCKS = Path(__file__).with_name("locks")


def install_locked(venv: Path, lock: str, logs: Path, environment: Mapping[str, str], label: str) -> None:
    """Install a lock into an environment, wheels only, every hash checked; raises SetupFailed with pip's last lines."""
    requirements = LOCKS / f"{lock}.lock"
    packages = requirements.read_text(encoding="utf-8").count("==")
    command: list[str | Path] = [
        venv / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
    ]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", requirements]
    logs.mkdir(parents=True, exist_ok=True)
    try:
        run_with_progress(command, label, pip_step_parser(packages), logs / f"{lock}.log", environment)
    except CommandFailed as failure:
        raise SetupFailed(
            "\n".join(failure.tail) + f"\n\npip could not install {requirements.name}. Behind a mirror of your "
            "own, tell pip so (pip config). A hash that differs means that the file is not the one that was locked."
        ) from failure


def install_build_tools(folder: Path, logs: Path, environment: Mapping[str, str]) -> Path:
    """Create an environment with the build tools of llama.cpp in `folder`/tools and return it; raises SetupFailed."""
    tools = folder / "tools"
    subprocess.run([sys.executable, "-m", "venv", tools], check=True)
    install_locked(tools, "bootstrap", logs, environment, "Build tools (1 of 2)")
    install_locked(tools, "build", logs, environment, "Build tools (2 of 2)")
    return tools

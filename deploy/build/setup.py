"""Setup of `.venv`: created again when the locks or the Python change, unchanged and fast otherwise."""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from deploy.build import llama, machine, test_services
from deploy.build.packages import LOCKS, install_locked
from deploy.build.progress import CommandFailed, SetupFailed, run_with_progress

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".venv"
STAMP = VENV / "hearth-setup.json"
LOGS = ROOT / "build" / "logs"


@dataclass(frozen=True)
class EnvironmentState:
    """Inputs that an environment was created from. Two equal states need no work."""

    python: str
    locks: str
    dev: bool
    engine: str
    project: str


def wanted_state(environment: Mapping[str, str], dev: bool) -> EnvironmentState:
    """Return the state that the environment should have; raises SetupFailed for invalid settings."""
    if llama_wheel := environment.get("LLAMA_WHEEL"):
        wheel = llama.check_wheel(Path(llama_wheel))
        status = wheel.stat()
        engine = f"{wheel} {status.st_size} {status.st_mtime_ns}"
    else:
        engine = llama.plan_build(environment).name
    return EnvironmentState(
        # The paths, too: the scripts of an environment contain its own, and without its Python it is broken.
        python=f"{sys.version_info.major}.{sys.version_info.minor} {sys.base_prefix} {ROOT}",
        locks=_digest([LOCKS / name for name in ("bootstrap.lock", "requirements.lock", "requirements-dev.lock")]),
        dev=dev,
        engine=engine,
        project=_digest([ROOT / "pyproject.toml"]),
    )


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def installed_state() -> EnvironmentState | None:
    """Return the state of the environment on disk; None when there is none that works."""
    try:
        state = EnvironmentState(**json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return state if (VENV / "bin" / "python").exists() else None


def due_steps(installed: EnvironmentState | None, wanted: EnvironmentState) -> list[str]:
    """Return the steps to run, in order: `venv`, `packages`, `engine`, `project`. Empty when nothing has changed.

    An environment with the development packages is also good for running.
    """
    if installed is None or (installed.python, installed.locks) != (wanted.python, wanted.locks):
        return ["venv", "packages", "engine", "project"]
    steps = {
        "packages": wanted.dev and not installed.dev,
        "engine": installed.engine != wanted.engine,
        "project": installed.project != wanted.project,
    }
    return [step for step, needed in steps.items() if needed]


def run_steps(
    steps: list[str], installed: EnvironmentState | None, wanted: EnvironmentState, environment: Mapping[str, str]
) -> None:
    """Run the steps, then write the stamp; until then the environment counts as absent."""
    wheel = _engine_wheel(environment) if "engine" in steps else None
    STAMP.unlink(missing_ok=True)
    if "venv" in steps:
        _make_venv(environment)
    if "packages" in steps:
        lock, label = ("requirements-dev", "Packages with test tools") if wanted.dev else ("requirements", "Packages")
        install_locked(VENV, lock, LOGS, environment, label)
    if wheel:
        _pip(["--no-index", "--force-reinstall", wheel], "engine", environment)
        _try_engine(wheel, environment)
    if "project" in steps:
        _pip(["--no-build-isolation", "--editable", ROOT], "project", environment)
    dev = wanted.dev or (installed is not None and installed.dev and "venv" not in steps)
    STAMP.write_text(json.dumps(asdict(wanted) | {"dev": dev}, indent=1), encoding="utf-8")


def _engine_wheel(environment: Mapping[str, str]) -> Path:
    """Find or compile the engine's wheel; comes first, so that a missing compiler is reported before any download."""
    if llama_wheel := environment.get("LLAMA_WHEEL"):
        return llama.check_wheel(Path(llama_wheel))
    build = llama.plan_build(environment)
    cache = machine.cache_folder(environment)
    if found := llama.find_wheel(build, cache):
        return found
    llama.require_tools(build, environment)
    return llama.compile_wheel(build, cache, environment)


def _make_venv(environment: Mapping[str, str]) -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    print(f"Environment: .venv with Python {sys.version.split()[0]}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    install_locked(VENV, "bootstrap", LOGS, environment, "Installer")


def _pip(arguments: list[str | Path], name: str, environment: Mapping[str, str]) -> None:
    command: list[str | Path] = [
        VENV / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--no-deps",
    ]
    log = LOGS / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        run_with_progress([*command, *arguments], f"Installing the {name}", lambda _: None, log, environment)
    except CommandFailed as failure:
        raise SetupFailed("\n".join(failure.tail) + f"\n\npip could not install the {name}. Log: {log}") from failure


def _try_engine(wheel: Path, environment: Mapping[str, str]) -> None:
    command: list[str | Path] = [VENV / "bin" / "python", "-c", "import llama_cpp; llama_cpp.llama_backend_init()"]
    result = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False)
    if result.returncode:
        raise SetupFailed(
            f"{result.stderr.strip()}\n\nThe compiled engine does not load here (status {result.returncode}). "
            f"Remove {wheel} if it came from another machine, or choose another BACKEND, and try again."
        )


def _on_sigterm(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(143)


def main() -> int:
    """Set up the environment; returns the exit status."""
    parser = argparse.ArgumentParser(prog="setup", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="with the tools for tests and checks")
    dev = parser.parse_args().dev
    signal.signal(signal.SIGTERM, _on_sigterm)
    environment = dict(os.environ)
    try:
        wanted = wanted_state(environment, dev)
        if due_steps(installed_state(), wanted):
            with machine.file_lock(ROOT / "build" / "setup.lock", "setting this checkout up"):
                installed = installed_state()
                run_steps(due_steps(installed, wanted), installed, wanted, environment)
        if dev:
            test_services.install_services(environment)
    except SetupFailed as failure:
        print(failure, file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing half-made is kept; the same command starts again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

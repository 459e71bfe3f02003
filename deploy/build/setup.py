"""Makes and keeps `.venv`: remade when the locks or the Python change, left alone in a moment when nothing did."""

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
    """What an environment was made from. Two equal states need no work."""

    python: str
    locks: str
    dev: bool
    engine: str
    project: str


def wanted_state(environment: Mapping[str, str], dev: bool) -> EnvironmentState:
    """Tell what the environment should be made from now; raises SetupFailed for settings that make no sense."""
    if ready := environment.get("LLAMA_WHEEL"):
        wheel = llama.check_wheel(Path(ready))
        about = wheel.stat()
        engine = f"{wheel} {about.st_size} {about.st_mtime_ns}"
    else:
        engine = llama.plan_build(environment).name
    return EnvironmentState(
        # The place too: the scripts of an environment hold its path, and it breaks when its Python goes.
        python=f"{sys.version_info.major}.{sys.version_info.minor} {sys.base_prefix} {ROOT}",
        locks=_digest([LOCKS / name for name in ("bootstrap.lock", "requirements.lock", "requirements-dev.lock")]),
        dev=dev,
        engine=engine,
        project=_digest([ROOT / "pyproject.toml"]),
    )


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def installed_state() -> EnvironmentState | None:
    """Tell what the environment on disk was made from; None when there is none that works."""
    try:
        state = EnvironmentState(**json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return state if (VENV / "bin" / "python").exists() else None


def due_steps(have: EnvironmentState | None, want: EnvironmentState) -> list[str]:
    """Decide what to do, in order: `venv`, `packages`, `engine`, `project`. Empty when all is in place.

    An environment with the development packages serves for running too.
    """
    if have is None or (have.python, have.locks) != (want.python, want.locks):
        return ["venv", "packages", "engine", "project"]
    due = {
        "packages": want.dev and not have.dev,
        "engine": have.engine != want.engine,
        "project": have.project != want.project,
    }
    return [step for step, needed in due.items() if needed]


def run_steps(
    due: list[str], have: EnvironmentState | None, want: EnvironmentState, environment: Mapping[str, str]
) -> None:
    """Carry the steps out, then write the stamp; until then the environment counts as absent."""
    wheel = _engine_wheel(environment) if "engine" in due else None
    STAMP.unlink(missing_ok=True)
    if "venv" in due:
        _make_venv(environment)
    if "packages" in due:
        lock, label = ("requirements-dev", "Packages with test tools") if want.dev else ("requirements", "Packages")
        install_locked(VENV, lock, LOGS, environment, label)
    if wheel:
        _pip(["--no-index", "--force-reinstall", wheel], "engine", environment)
        _try_engine(wheel, environment)
    if "project" in due:
        _pip(["--no-build-isolation", "--editable", ROOT], "project", environment)
    dev = want.dev or (have is not None and have.dev and "venv" not in due)
    STAMP.write_text(json.dumps(asdict(want) | {"dev": dev}, indent=1), encoding="utf-8")


def _engine_wheel(environment: Mapping[str, str]) -> Path:
    """Find or compile the engine's wheel: first of all, so that a missing compiler is told before any download."""
    if ready := environment.get("LLAMA_WHEEL"):
        return llama.check_wheel(Path(ready))
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
    tried = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False)
    if tried.returncode:
        raise SetupFailed(
            f"{tried.stderr.strip()}\n\nThe compiled engine does not load here (status {tried.returncode}). "
            f"Remove {wheel} if it came from another machine, or choose another BACKEND, and try again."
        )


def _on_sigterm(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(143)


def main() -> int:
    """Set the environment up; returns the exit status."""
    parser = argparse.ArgumentParser(prog="setup", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="with the tools for tests and checks")
    dev = parser.parse_args().dev
    signal.signal(signal.SIGTERM, _on_sigterm)
    environment = dict(os.environ)
    try:
        want = wanted_state(environment, dev)
        if due_steps(installed_state(), want):
            with machine.file_lock(ROOT / "build" / "setup.lock", "setting this checkout up"):
                have = installed_state()
                run_steps(due_steps(have, want), have, want, environment)
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

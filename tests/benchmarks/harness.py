"""Runs benchmarks, each in a process of its own, and puts their figures into one report."""

import importlib
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.benchmarks.figures import Arm, Samples, judged
from tests.benchmarks.machine import ROOT, commit, machine

T = TypeVar("T")


def report(arms: Sequence[Arm], program: str = "tests.benchmarks") -> dict[str, Any]:
    """Measure all arms, each by the `program` that knows it.

    `passed` says that every bar was met; an arm that fails has met none.
    """
    where = machine()
    figures: dict[str, Any] = {}
    for arm in arms:
        began = time.monotonic()
        tell(f"{arm.name} ...")
        figures |= judged(arm, _run(arm, program))
        tell(f"{arm.name}: {time.monotonic() - began:.0f} s")
    return {
        "passed": all(figure.get("passed", True) for figure in figures.values()),
        "figures": figures,
        "machine": where,
        "python": platform.python_version(),
        "commit": commit(),
    }


def show(whole: dict[str, Any]) -> int:
    """Print the report as one JSON object, and what was missed as sentences on standard error; the exit code."""
    print(json.dumps(whole, indent=2))
    for name, figure in whole["figures"].items():
        if not figure.get("passed", True):
            tell(f"missed: {name} is {figure['value']} {figure['unit']}, the bar is {figure['bar']}")
    return 0 if whole["passed"] else 1


def measure_here(arm: Arm) -> None:
    """In the process of one arm: measure, and print the samples as one line of JSON."""
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        samples: Samples = importlib.import_module(arm.module).measure(Path(folder))
    print(json.dumps({name: list(values) for name, values in samples.items()}))


def on_its_own_thread(call: Callable[..., T], *arguments: object) -> T:
    """Call a function on a thread that ends with it, as the engine's does.

    OpenMP keeps the threads that a thread computed with as long as it lives, and while there are more of them than
    cores, all of them sleep at every barrier instead of spinning: an engine would be five times slower.
    """
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(call, *arguments).result()


def tell(line: str) -> None:
    """Progress, on standard error: standard output holds the report alone."""
    print(line, file=sys.stderr, flush=True)


def _run(arm: Arm, program: str) -> Samples:
    command = [sys.executable, "-m", program, "--measure", arm.name]
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=arm.timeout_s, check=True)
        samples: Samples = json.loads(done.stdout)
        return samples
    except subprocess.TimeoutExpired:
        tell(f"{arm.name}: not done after {arm.timeout_s:g} s")
    except subprocess.CalledProcessError as error:
        tell(f"{arm.name}: ended with {error.returncode}")
    except ValueError:
        tell(f"{arm.name}: printed something else than its samples")
    return {}

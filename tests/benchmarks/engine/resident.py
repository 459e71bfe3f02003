"""Resident memory of the real program on the default model: after its first answer, and with 1,000 tokens in use."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks import houses
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell
from tests.benchmarks.machine import ROOT
from tests.benchmarks.memory import resident_bytes

GIGABYTE = 1e9
SHORT = "On which shelf is the backup drive?"
LONG = "What do you know of this? " + "The drive is on the shelf in the cellar next to the lamp. " * 70


def measure(folder: Path) -> Samples:
    """Gigabytes of one process."""
    config = houses.write_config(folder, houses.HANDBOOK)
    houses.index(config)
    command = [sys.executable, "-m", "bot", "chat", "--jsonl", "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        try:
            idle = _resident_after(program, SHORT)
            busy = _resident_after(program, LONG)
        finally:
            program.kill()
    tell(f"resident: {idle:.2f} GB idle, {busy:.2f} GB with a conversation")
    return {"resident_idle_gb": [idle], "resident_with_conversation_gb": [busy]}


def _resident_after(program: subprocess.Popen[bytes], text: str) -> float:
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write(json.dumps({"text": text}).encode() + b"\n")
    program.stdin.flush()
    for line in program.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "finished":
            return resident_bytes(Path(f"/proc/{program.pid}/smaps").read_text("utf-8")) / GIGABYTE
        if event["event"] in ("failed", "error"):
            raise ValueError(f"no answer: {event}")
    raise ValueError("the program ended before it had answered")

"""Resident memory of the real program after an answer, over what the model's weights and KV cache take by themselves.

    over = Rss of all mappings - size of the weights - resident part of the KV cache

from /proc/PID/smaps. The weights are read, so all of them are resident; of the KV cache, the mapping that is at least
as large, what was used is. A second copy of either counts as ours.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.config.loading import load_config
from models.llama.plan.hardware import GpuMemory
from models.llama.plan.memory_plan import plan_memory, read_model_header
from tests.benchmarks import houses
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell
from tests.benchmarks.machine import ROOT

ROUNDS = 3
MEGABYTE = 1e6


def measure(folder: Path) -> Samples:
    """The figures of several fresh processes."""
    config = houses.write_config(folder, houses.HANDBOOK)
    houses.index(config)
    model = asyncio.run(houses.chat_model())
    weights, kv = read_model_header(model).weights_bytes, _kv_bytes(config, model)
    rounds = [_smaps(config) for _ in range(ROUNDS)]
    totals = [resident_bytes(smaps) for smaps in rounds]
    caches = [resident_bytes(smaps, at_least=kv) for smaps in rounds]
    return {
        "memory_over_weights_and_kv_mb": [
            (total - weights - cache) / MEGABYTE for total, cache in zip(totals, caches, strict=True)
        ],
        "memory_resident_mb": [total / MEGABYTE for total in totals],
        "memory_weights_mb": [weights / MEGABYTE],
        "memory_kv_mb": [cache / MEGABYTE for cache in caches],
    }


def resident_bytes(smaps: str, at_least: int = 0) -> int:
    """Resident bytes of all mappings of a size in the text of /proc/PID/smaps."""
    resident = size = 0
    for line in smaps.splitlines():
        if line.startswith("Size:"):
            size = 1024 * int(line.split()[1])
        elif line.startswith("Rss:") and size >= at_least:
            resident += 1024 * int(line.split()[1])
    return resident


def _kv_bytes(config: Path, model: Path) -> int:
    settings, header = load_config(config).model.llama, read_model_header(model)
    fit = plan_memory(header, settings, GpuMemory())
    return fit.parallel * header.kv_bytes(fit.context_tokens, settings.kv_cache_type)


def _smaps(config: Path) -> str:
    with _program(config) as program:
        _ask(program)
        smaps = Path(f"/proc/{program.pid}/smaps").read_text("utf-8")
    tell(f"memory: {resident_bytes(smaps) / MEGABYTE:.0f} MB resident")
    return smaps


@contextmanager
def _program(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "bot", "chat", "--jsonl", "--config", str(config)]
    program = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def _ask(program: subprocess.Popen[bytes]) -> None:
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write(json.dumps({"text": "On which shelf is the backup drive?"}).encode() + b"\n")
    program.stdin.flush()
    for line in program.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "finished" and event["sources"]:
            return
        if event["event"] in ("failed", "finished", "error"):
            raise ValueError(f"no answer from documents: {event}")
    raise ValueError("the program ended before it had answered")

"""Saving and restoring snapshots leaks no memory."""

import gc
from pathlib import Path

import psutil
import pytest

from models.engine import Prompt, Sampling, Turn
from models.llama.engine import LlamaEngine
from models.llama.settings import LlamaSettings
from tests.fakes.tiny_gguf import write_tiny_model

# A state of 900 tokens of the tiny model has 0.5 MB: less than one in ten may remain.
_MAX_GROWTH_PER_ROUND_BYTES = 50_000
_NOISE_BYTES = 3_000_000
_WARM_UP_ROUNDS = 20


async def _alternate(engine: LlamaEngine, rounds: int) -> None:
    """Two conversations in one sequence: each turn takes a snapshot of the one and restores the other."""
    history = (Turn("user", "shelf " * 140), Turn("assistant", "Yes."))
    for number in range(rounds):
        key = f"room {number % 2}"
        prompt = Prompt("", history, f"{key}?")
        async for _ in engine.stream(prompt, key, Sampling(temperature=0, max_tokens=2)):
            pass


def _resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("rounds", [20, pytest.param(1000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("memory_bytes", [10_000_000, 0])
async def test_parking_and_restoring_leaks_no_memory(tmp_path: Path, rounds: int, memory_bytes: int) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention")
    settings = LlamaSettings(parallel=1, context_tokens=1024, threads=1, kv_cache_memory_bytes=memory_bytes)
    engine = await LlamaEngine.load(path, settings, snapshot_folder=tmp_path / "parked")
    await _alternate(engine, _WARM_UP_ROUNDS)
    before = _resident_bytes()
    await _alternate(engine, rounds)
    growth_bytes = _resident_bytes() - before
    await engine.close()
    assert growth_bytes < _NOISE_BYTES + rounds * _MAX_GROWTH_PER_ROUND_BYTES

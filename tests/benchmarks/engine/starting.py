"""Loading the default model until the engine is ready, over reading its file, as after a start of the machine."""

import asyncio
import os
import time
from pathlib import Path

from tests.benchmarks import houses
from tests.benchmarks.engine.asking import open_engine
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

ROUNDS, CHUNK_BYTES = 5, 1 << 22


def measure(folder: Path) -> Samples:
    """The ratio of each round, and the seconds of both: from the disk, and for comparison from the page cache."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    model = await houses.chat_model()
    await _load_s(model)  # also loads the library
    samples: dict[str, list[float]] = {"load_s": [], "read_s": [], "cached_load_s": [], "cached_read_s": []}
    for _ in range(ROUNDS):
        _evict(model)
        samples["read_s"].append(_read_s(model))
        samples["cached_read_s"].append(_read_s(model))
        samples["cached_load_s"].append(await _load_s(model))
        _evict(model)
        samples["load_s"].append(await _load_s(model))
        tell("starting: " + ", ".join(f"{name} {values[-1]:.3f}" for name, values in samples.items()))
    ratios = [one / other for one, other in zip(samples["load_s"], samples["read_s"], strict=True)]
    return {"load_over_reading": ratios, **samples}


def _evict(model: Path) -> None:
    """Have the file read from the disk again, not from the page cache."""
    with model.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def _load_s(model: Path) -> float:
    began = time.perf_counter()
    async with open_engine(model):
        return time.perf_counter() - began


def _read_s(model: Path) -> float:
    began = time.perf_counter()
    with model.open("rb") as file:
        while file.read(CHUNK_BYTES):
            pass
    return time.perf_counter() - began

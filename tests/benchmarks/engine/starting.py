"""Loading the default model until the engine is ready, over reading its file."""

import asyncio
import time
from pathlib import Path

from tests.benchmarks import houses
from tests.benchmarks.engine.asking import open_engine
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

ROUNDS, CHUNK_BYTES = 5, 1 << 22


def measure(folder: Path) -> Samples:
    """The ratio of each round, and the seconds of both; the file is in the system's cache."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    model = await houses.chat_model()
    await _load_s(model)  # also loads the library
    read, loaded = [], []
    for _ in range(ROUNDS):
        read.append(_read_s(model))
        loaded.append(await _load_s(model))
        tell(f"starting: {loaded[-1]:.2f} s to load, {read[-1]:.2f} s to read")
    ratios = [one / other for one, other in zip(loaded, read, strict=True)]
    return {"load_over_reading": ratios, "load_s": loaded, "read_s": read}


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

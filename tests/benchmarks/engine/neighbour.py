"""The time of one step while another process keeps a core busy, over the time without."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.engine import Prompt
from models.llama.engine import LlamaEngine
from tests.benchmarks.engine.asking import SYSTEM, ask, demo_engine
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

ROUNDS, TOKENS = 5, 64
PROMPT = Prompt(SYSTEM, (), "Explain how a heat pump works.")


def measure(folder: Path) -> Samples:
    """Idle and busy steps in turn."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    idle: list[float] = []
    busy: list[float] = []
    async with demo_engine() as engine:
        for _ in range(ROUNDS):
            await _step_ms(engine)  # the threads notice that the neighbour of the last round has gone
            idle.append(await _step_ms(engine))
            with _neighbour():
                busy.append(await _step_ms(engine))
            tell(f"neighbour: {idle[-1]:.1f} ms idle, {busy[-1]:.1f} ms busy")
    ratios = [one / other for one, other in zip(busy, idle, strict=True)]
    return {"busy_over_idle_step": ratios, "idle_step_ms": idle, "busy_step_ms": busy}


async def _step_ms(engine: LlamaEngine) -> float:
    usage = (await ask(engine, PROMPT, "room", TOKENS)).usage
    return 1000 * usage.decode_s / usage.generated_tokens


@contextmanager
def _neighbour() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()

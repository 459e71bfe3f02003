"""From the cancel of a question whose prompt is being read until the worker takes up something else."""

import asyncio
import time
from pathlib import Path

from models.engine import Prompt
from tests.benchmarks.engine.asking import SYSTEM, ask, demo_engine, text_of
from tests.benchmarks.figures import Samples

ROUNDS = 12
PROMPT_TOKENS = 2_000


def measure(folder: Path) -> Samples:
    """Milliseconds of each round; the cancels come at different places of the prompt."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    times = []
    async with demo_engine() as engine:
        for number in range(ROUNDS):
            prompt = Prompt(SYSTEM, (), text_of(engine, PROMPT_TOKENS, number))
            asking = asyncio.create_task(ask(engine, prompt, f"room {number}", 1))
            await asyncio.sleep(0.3 + 0.11 * number)
            cancelled = time.perf_counter()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            # A job that takes no time itself; the worker comes to it between two steps.
            await engine.drop_state("nobody")
            times.append(1000 * (time.perf_counter() - cancelled))
    return {"cancelled_prefill_ms": times}

"""How late the event loop is while four replies are written, beyond how late it is when nothing happens."""

import asyncio
from pathlib import Path

from models.engine import Prompt
from tests.benchmarks.engine.asking import SYSTEM, ask, bench_settings, demo_engine
from tests.benchmarks.figures import Samples
from tests.benchmarks.lag import idle_p99_ms, sampled

REPLIES, ROUNDS, TOKENS = 4, 4, 64


def measure(folder: Path) -> Samples:
    """One p99 for each round, the idle one before it taken off."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    idle: list[float] = []
    running: list[float] = []
    async with demo_engine(bench_settings(parallel=REPLIES)) as engine:
        for _ in range(ROUNDS):
            idle.append(await idle_p99_ms(2))
            async with sampled() as lag:
                prompts = [Prompt(SYSTEM, (), f"Tell a story about the number {number}.") for number in range(REPLIES)]
                await asyncio.gather(
                    *(ask(engine, prompt, f"room {number}", TOKENS) for number, prompt in enumerate(prompts))
                )
            running.append(lag.p99_ms)
    beyond = [max(0.0, one - other) for one, other in zip(running, idle, strict=True)]
    return {"lag_p99_four_replies_ms": beyond, "lag_p99_idle_ms": idle}

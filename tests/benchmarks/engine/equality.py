"""Share of greedy answers of several replies together that equal the same answers alone, bit by bit of their text.

Part of a run with DETERMINISTIC=1 only: without `deterministic` nothing of the kind is promised.
"""

import asyncio
from pathlib import Path

from models.engine import Prompt
from models.llama.engine import LlamaEngine
from tests.benchmarks import houses
from tests.benchmarks.engine.asking import SYSTEM, ask, bench_settings, open_engine
from tests.benchmarks.engine.slices import slice_model
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

REPLIES, TOKENS = 8, 32


def measure(folder: Path) -> Samples:
    """The share of each model."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    models = {"demo": await houses.chat_model(), "q4_k_m": slice_model("Q4_K_M"), "q8_0": slice_model("Q8_0")}
    samples = {}
    for name, path in models.items():
        async with open_engine(
            path, bench_settings(deterministic=True, parallel=REPLIES, context_tokens=1024)
        ) as engine:
            samples[f"equal_together_and_alone_{name}"] = [await _equal_share(engine)]
        tell(f"equality: {samples[f'equal_together_and_alone_{name}'][0]:.2f} on {name}")
    return samples


async def _equal_share(engine: LlamaEngine) -> float:
    prompts = [Prompt(SYSTEM, (), f"Tell a long story about the number {number}.") for number in range(REPLIES)]
    alone = [(await ask(engine, prompt, f"alone {number}", TOKENS)).text for number, prompt in enumerate(prompts)]
    together = await asyncio.gather(
        *(ask(engine, prompt, f"together {number}", TOKENS) for number, prompt in enumerate(prompts))
    )
    return sum(one == other.text for one, other in zip(alone, together, strict=True)) / REPLIES

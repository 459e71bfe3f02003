"""Tokens a second of two and of eight replies together over one, on the default model and on two slices."""

import asyncio
from pathlib import Path

from models.engine import Prompt
from models.llama.engine import LlamaEngine
from tests.benchmarks import houses
from tests.benchmarks.engine.asking import SYSTEM, Asked, ask, bench_settings, open_engine
from tests.benchmarks.engine.slices import slice_model
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

ROUNDS, TOKENS, MOST = 5, 32, 8


def measure(folder: Path) -> Samples:
    """Both ratios of each model in each round."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    models = {"demo": await houses.chat_model(), "q4_k_m": slice_model("Q4_K_M"), "q8_0": slice_model("Q8_0")}
    samples: dict[str, list[float]] = {}
    for name, path in models.items():
        # Without drafts, which would hide what replies bring together.
        async with open_engine(path, bench_settings(parallel=MOST, speculation=False, context_tokens=1024)) as engine:
            for count in (1, 2, MOST):
                await _rate(engine, count)  # the engine measures each size
            ratios = [await _round(engine) for _ in range(ROUNDS)]
        samples[f"two_over_one_tokens_per_s_{name}"] = [two for two, _ in ratios]
        samples[f"eight_over_one_tokens_per_s_{name}"] = [eight for _, eight in ratios]
        two, eight = (sorted(values)[ROUNDS // 2] for values in zip(*ratios, strict=True))
        tell(f"grouping: {name}: two {two:.2f}, eight {eight:.2f} times the tokens a second of one")
    return samples


async def _round(engine: LlamaEngine) -> tuple[float, float]:
    """The ratios of two and of eight, in an order in which what drifts on a shared machine hits all alike."""
    rates: dict[int, list[float]] = {1: [], 2: [], MOST: []}
    for count in (1, 2, MOST, MOST, 2, 1):
        rates[count].append(await _rate(engine, count))
    one, two, eight = (sum(each) for each in rates.values())
    return two / one, eight / one


async def _rate(engine: LlamaEngine, count: int) -> float:
    """Tokens a second of so many replies while all of them are decoded."""
    prompts = [Prompt(SYSTEM, (), f"Tell a long story about the number {number}.") for number in range(count)]
    answers = await asyncio.gather(
        *(ask(engine, prompt, f"room {number}", TOKENS) for number, prompt in enumerate(prompts))
    )
    return _while_all_decode(answers)


def _while_all_decode(answers: list[Asked]) -> float:
    start, end = max(each.came[0] for each in answers), min(each.came[-1] for each in answers)
    pieces = sum(sum(start < moment <= end for moment in each.came) for each in answers)
    tokens_in_a_piece = sum(each.usage.generated_tokens for each in answers) / sum(len(each.came) for each in answers)
    return pieces * tokens_in_a_piece / (end - start)

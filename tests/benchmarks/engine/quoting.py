"""Tokens a second with guessing over without, for answers that repeat their passages and for others."""

import asyncio
from pathlib import Path

from models.engine import Prompt
from models.llama.engine import LlamaEngine
from models.llama.settings import LlamaSettings
from tests.benchmarks.engine.asking import SYSTEM, ask, demo_engine, text_of
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

ROUNDS, TOKENS, PASSAGE_TOKENS = 5, 96, 200


def measure(folder: Path) -> Samples:
    """Both ratios in each round."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    ratios: dict[str, list[float]] = {"guessing_over_plain_quoting": [], "guessing_over_plain_other": []}
    async with demo_engine() as guessing, demo_engine(LlamaSettings(speculation=False)) as plain:
        tell(f"quoting: {guessing._loaded.guesses} guesses at once were proven to change nothing")
        passage = text_of(plain, PASSAGE_TOKENS, 3)
        prompts = {
            "guessing_over_plain_quoting": Prompt(SYSTEM, (), f"Repeat this text word by word.\n\n{passage}"),
            "guessing_over_plain_other": Prompt(SYSTEM, (), f"{passage}\n\nNow tell a story about a dragon."),
        }
        for number in range(ROUNDS):
            for name, prompt in prompts.items():
                one, other = (guessing, plain) if number % 2 else (plain, guessing)
                rates = {engine: await _rate(engine, prompt, name) for engine in (one, other)}
                ratios[name].append(rates[guessing] / rates[plain])
    return ratios


async def _rate(engine: LlamaEngine, prompt: Prompt, key: str) -> float:
    usage = (await ask(engine, prompt, key, TOKENS)).usage
    return usage.generated_tokens / usage.decode_s

"""Prompt tokens computed over new ones, for a program that sends whole conversations and asks for a title in between.

With a model that attends to a sliding window, and one without, of a few thousand weights each: which tokens are
computed does not depend on the weights.
"""

import asyncio
from pathlib import Path

from models.engine import STATELESS_PREFIX, Prompt, Turn
from models.llama.engine import LlamaEngine
from tests.benchmarks.engine.asking import SYSTEM, ask, bench_settings, open_engine, text_of
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell
from tests.fakes.tiny_gguf import Kind, write_tiny_model

TURNS, QUESTION_TOKENS, ANSWER_TOKENS = 8, 100, 24
KEY = f"{STATELESS_PREFIX}api:bench"
KINDS: tuple[Kind, ...] = ("window", "attention")


def measure(folder: Path) -> Samples:
    """The ratio of each kind of model."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Samples:
    samples = {}
    for kind in KINDS:
        model = write_tiny_model(folder / f"{kind}.gguf", kind, context_tokens=8192)
        async with open_engine(model, bench_settings(parallel=2, threads=1)) as engine:
            samples[f"prefilled_over_new_with_titles_{kind}"] = [await _ratio(engine)]
        tell(f"titles: {samples[f'prefilled_over_new_with_titles_{kind}'][0]:.2f} on {kind}")
    return samples


async def _ratio(engine: LlamaEngine) -> float:
    history: tuple[Turn, ...] = ()
    prefilled = known = 0
    for number in range(TURNS):
        question = text_of(engine, QUESTION_TOKENS, number)
        asked = await ask(engine, Prompt(SYSTEM, history, question), KEY, ANSWER_TOKENS)
        prefilled += asked.usage.prefilled_tokens
        known = asked.usage.prompt_tokens
        history += (Turn("user", question), Turn("assistant", asked.text))
        title = Prompt("You write titles.", (), f"A title of five words for: {question}")
        await ask(engine, title, KEY, 8)
    # The last prompt holds everything that was ever new, the answers too.
    return prefilled / known

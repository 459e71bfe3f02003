"""How many tokens are computed for those that are new, in conversations whose passages change each turn.

Counted on a model of a few thousand weights: which tokens are computed does not depend on the weights, and with the
default model the 100,000 tokens would take a quarter of an hour.
"""

import asyncio
from pathlib import Path

from models.engine import Prompt, Turn
from models.llama.engine import LlamaEngine
from models.llama.kv_cache.tokenized_prompt import PromptTokenizer
from models.llama.native.context import TokenRun
from tests.benchmarks.engine.asking import SYSTEM, ask, bench_settings, text_of
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell
from tests.fakes.tiny_gguf import write_tiny_model

CONVERSATIONS, TURNS, PASSAGE_TOKENS = 8, 20, 600
SETTINGS = bench_settings(parallel=4, context_tokens=8192, threads=1)


def measure(folder: Path) -> Samples:
    """The ratio of one run."""
    return asyncio.run(_measure(folder))


class _Counter:
    """Counts the tokens that a context computes for prompts."""

    def __init__(self, engine: LlamaEngine) -> None:
        self.tokens = 0
        context = engine._loaded.context
        self._prefill = context.prefill
        context.prefill = self  # type: ignore[assignment,method-assign]

    def __call__(self, run: TokenRun) -> None:
        self._prefill(run)
        self.tokens += len(run.tokens)


async def _measure(folder: Path) -> Samples:
    path = write_tiny_model(folder / "tiny.gguf", "attention", context_tokens=SETTINGS.context_tokens)
    engine = await LlamaEngine.load(path, SETTINGS, snapshot_folder=folder / "parked")
    reader = PromptTokenizer(engine._loaded.template)
    counter = _Counter(engine)
    histories: list[tuple[Turn, ...]] = [()] * CONVERSATIONS
    known = [0] * CONVERSATIONS
    new = 0
    for turn in range(TURNS):
        for number in range(CONVERSATIONS):
            question = f"Question {turn} of room {number}?"
            passages = text_of(engine, PASSAGE_TOKENS, 1000 * turn + number)
            prompt = Prompt(SYSTEM, histories[number], f"{passages}\n\n{question}")
            read = reader.tokenize_prompt(prompt)
            # The system prompt is new once for all; of a history what was not in it the turn before.
            known[number] = known[number] or (read.system_tokens if number else 0)
            new += len(read.tokens) - known[number]
            known[number] = read.history_tokens
            answer = f"An answer of some twenty letters, number {turn}."
            await ask(engine, prompt, f"room {number}", 8)
            histories[number] += (Turn("user", question), Turn("assistant", answer))
            await engine.warm_up(f"room {number}", Prompt(SYSTEM, histories[number], ""))
        tell(f"turns: {turn + 1} of {TURNS}, {counter.tokens} computed, {new} new")
    # The pairs that were prepared for turns that never came.
    heads = [reader.tokenize_head(Prompt(SYSTEM, history, "")) for history in histories]
    new += sum(len(head.tokens) - before for head, before in zip(heads, known, strict=True))
    await engine.close()
    return {"prefilled_over_new_tokens": [counter.tokens / new], "new_tokens": [new]}

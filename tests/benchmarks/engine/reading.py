"""Time to first token of 1,000 tokens on an idle engine over a bare loop of full batches, on the Q4_K_M slice."""

import asyncio
import time
from pathlib import Path
from typing import Any

from models.engine import Prompt
from models.llama.loading.loader import LoadedModel, load_model
from models.llama.native.libllama import llama_library
from models.llama.settings import LlamaSettings
from tests.benchmarks.engine.asking import ask, bench_settings, open_engine
from tests.benchmarks.engine.slices import slice_model
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import on_its_own_thread, tell

ROUNDS, PROMPTS, PROMPT_TOKENS = 3, 2, 1_000


def measure(folder: Path) -> Samples:
    """The ratio of each round, and the seconds of both."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    model, settings = slice_model("Q4_K_M"), bench_settings(parallel=1, context_tokens=2048)
    ours: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        # One after the other: threads of two contexts would wait for each other's cores.
        engine_first = number % 2 == 0
        for engine_now in (engine_first, not engine_first):
            if engine_now:
                ours.append(await _engine_s(model, settings))
            else:
                bare.append(on_its_own_thread(_bare_s, model, settings))
        tell(f"reading: {ours[-1]:.2f} s to the first token, {bare[-1]:.2f} s in full batches")
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return {"prefill_over_full_batches": ratios, "prefill_first_token_s": ours, "full_batches_s": bare}


def _prompt(number: int) -> Prompt:
    """A prompt of about 1,000 tokens, a letter each, that shares no beginning with others."""
    return Prompt("", (), (f"{number} {number} " + "what is on the shelf in the cellar? " * 60)[: PROMPT_TOKENS - 40])


async def _engine_s(model: Path, settings: LlamaSettings) -> float:
    async with open_engine(model, settings) as engine:
        await ask(engine, _prompt(0), "warm", 2)
        return sum([(await ask(engine, _prompt(number), f"{number}", 1)).first_s for number in range(1, 1 + PROMPTS)])


def _bare_s(model: Path, settings: LlamaSettings) -> float:
    loaded = load_model(model, settings, lambda _: True)
    try:
        template = loaded.template
        _read(loaded, template.render_turns(_prompt(0).turns()).tokens)
        return sum(
            _read(loaded, template.render_turns(_prompt(number).turns()).tokens) for number in range(1, 1 + PROMPTS)
        )
    finally:
        loaded.context.free()
        loaded.model.free()


def _read(loaded: LoadedModel, tokens: list[int]) -> float:
    """Seconds of the prompt in full batches and of one sampled token."""
    llama: Any = llama_library()
    context = loaded.context._handle
    llama.llama_set_abort_callback(context, llama.llama_cpp.ggml_abort_callback(), None)
    llama.llama_memory_clear(llama.llama_get_memory(context), True)
    began = time.perf_counter()
    size = loaded.context.batch_tokens
    for first in range(0, len(tokens), size):
        batch = tokens[first : first + size]
        array = (llama.llama_token * len(batch))(*batch)
        if llama.llama_decode(context, llama.llama_batch_get_one(array, len(batch))):
            raise ValueError("llama.cpp refused a batch")
    loaded.context.get_logits(-1).argmax()
    return time.perf_counter() - began

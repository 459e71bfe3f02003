"""Streamed tokens a second through the engine, against a bare llama_decode loop on a context made the same way."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from models.engine import Prompt, Sampling, Usage
from models.llama.engine import LlamaEngine
from models.llama.loading.loader import LoadedModel, load_model
from models.llama.native.libllama import llama_library
from models.llama.settings import LlamaSettings
from tests.benchmarks import houses
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import on_its_own_thread, tell

PAIRS, REPEATS = 5, 3
TOKENS = 64
# Without guesses: they would hide what streaming costs.
SETTINGS = LlamaSettings(speculation=False)
PROMPT = Prompt("You are a patient teacher.", (), "Explain in detail how a heat pump warms a house in winter.")
GREEDY = Sampling(temperature=0, repeat_penalty=1.0, max_tokens=TOKENS)


def measure(folder: Path) -> Samples:
    """Rates of both, and their ratio in each pair."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    path = await houses.chat_model()
    pairs = [await _pair(path, engine_first=bool(number % 2)) for number in range(PAIRS)]
    streamed, looped = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    tell(f"streaming: {median(streamed):.1f} tokens/s streamed, {median(looped):.1f} bare")
    ratios = [ours / theirs for ours, theirs in pairs]
    return {"streamed_over_bare_tokens_per_s": ratios, "streamed_tokens_per_s": streamed, "bare_tokens_per_s": looped}


async def _pair(path: Path, engine_first: bool) -> tuple[float, float]:
    """Both rates, in the order one, other, other, one: what drifts on a shared machine hits both alike.

    Each is loaded for its turn alone: the threads of two contexts would keep each other from their cores.
    """
    streamed, looped = 0.0, 0.0
    for engine_now in (engine_first, not engine_first, not engine_first, engine_first):
        if engine_now:
            streamed += await _streamed_s(path)
        else:
            looped += on_its_own_thread(_looped_s, path)
    return 2 * REPEATS * (TOKENS - 1) / streamed, 2 * REPEATS * (TOKENS - 1) / looped


async def _streamed_s(path: Path) -> float:
    engine = await LlamaEngine.load(path, SETTINGS)
    try:
        await _streamed(engine)  # warms it
        return sum([await _streamed(engine) for _ in range(REPEATS)])
    finally:
        await engine.close()


def _looped_s(path: Path) -> float:
    bare = Bare(load_model(path, SETTINGS, lambda _: True))
    try:
        bare.seconds()
        return sum(bare.seconds() for _ in range(REPEATS))
    finally:
        bare.close()


async def _streamed(engine: LlamaEngine) -> float:
    """Seconds from the first piece to the last, as the reader of the stream sees them."""
    first = 0.0
    async for item in engine.stream(PROMPT, "bench", GREEDY):
        first = first or time.perf_counter()
        if isinstance(item, Usage):
            if item.generated_tokens != TOKENS:
                raise ValueError(f"the answer had {item.generated_tokens} tokens instead of {TOKENS}")
            return time.perf_counter() - first
    raise ValueError("the stream ended without its usage")


class Bare:
    """The least that generates text: sample greedily, decode one token, again."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._llama: Any = llama_library()
        self._context = loaded.context._handle
        no_callback = self._llama.llama_cpp.ggml_abort_callback()
        self._llama.llama_set_abort_callback(self._context, no_callback, None)
        self._prompt = loaded.template.render_turns(PROMPT.turns()).tokens
        self._sampler = self._llama.llama_sampler_init_greedy()

    def seconds(self) -> float:
        """What the tokens after the first one of the prompt's answer take."""
        llama = self._llama
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        self._decode(self._prompt)
        token = llama.llama_sampler_sample(self._sampler, self._context, -1)
        first = time.perf_counter()
        for _ in range(TOKENS - 1):
            self._decode([token])
            token = llama.llama_sampler_sample(self._sampler, self._context, -1)
        return time.perf_counter() - first

    def close(self) -> None:
        """Give the memory back."""
        self._llama.llama_sampler_free(self._sampler)
        self._loaded.context.free()
        self._loaded.model.free()

    def _decode(self, tokens: Sequence[int]) -> None:
        array = (self._llama.llama_token * len(tokens))(*tokens)
        if self._llama.llama_decode(self._context, self._llama.llama_batch_get_one(array, len(tokens))):
            raise ValueError("llama.cpp refused a batch")

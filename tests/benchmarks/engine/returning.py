"""Time to first token of conversations that come back: from memory, from disk after a restart, and from nothing."""

import asyncio
import os
import time
from pathlib import Path

from models.engine import Prompt, Turn
from models.llama.engine import LlamaEngine
from models.llama.loading.loader import load_model
from models.llama.native.context import TokenRun
from tests.benchmarks import houses
from tests.benchmarks.engine.asking import SYSTEM, ask, bench_settings, demo_engine, text_of
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

CONVERSATIONS = 8
ROUNDS = 3
# Most of the 1,900 tokens are the shared system prompt, so that filling the caches takes one minute and not three.
SYSTEM_TOKENS, HISTORY_TOKENS, NEW_TOKENS = 1_600, 280, 20
SETTINGS = bench_settings()


def measure(folder: Path) -> Samples:
    """In each round all conversations from memory, one from nothing, and all from disk."""
    return asyncio.run(_measure(folder / "parked"))


async def _measure(parked: Path) -> Samples:
    warm: list[float] = []
    disk: list[float] = []
    cold: list[float] = []
    prompts: list[Prompt] = []
    for number in range(ROUNDS):
        async with demo_engine(SETTINGS, parked) as engine:
            if not prompts:
                prompts = [_prompt(engine, key) for key in range(CONVERSATIONS)]
                await _first_tokens(engine, prompts, "Begin.")
            else:
                disk.append(await _first_tokens(engine, prompts, f"From disk {number}."))
            warm.append(await _first_tokens(engine, prompts, f"From memory {number}."))
        cold.append(await asyncio.to_thread(_cold, await houses.chat_model(), prompts[number]))
        _evict(parked)
        tell(
            f"returning: cold {cold[-1]:.2f} s, memory {warm[-1]:.3f} s" + (f", disk {disk[-1]:.3f} s" if disk else "")
        )
    return {
        "cold_over_warm_first_token": [one / other for one, other in zip(cold, warm, strict=True)],
        # Each disk round stands between two memory rounds: after a restart, in the same process.
        "disk_over_memory_first_token": [one / other for one, other in zip(disk, warm[1:], strict=True)],
        "cold_first_token_s": cold,
        "warm_first_token_s": warm,
        "disk_first_token_s": disk,
    }


def _prompt(engine: LlamaEngine, number: int) -> Prompt:
    system = f"{SYSTEM}\n{text_of(engine, SYSTEM_TOKENS, 0)}"
    said = (Turn("user", "What is new?"), Turn("assistant", text_of(engine, HISTORY_TOKENS, number + 1)))
    return Prompt(system, said, text_of(engine, NEW_TOKENS, 100 + number))


async def _first_tokens(engine: LlamaEngine, prompts: list[Prompt], word: str) -> float:
    """Mean time to first token of all conversations, one after the other."""
    times = []
    for number, prompt in enumerate(prompts):
        asked = await ask(engine, Prompt(prompt.system, prompt.history, f"{word} {prompt.tail}"), f"room {number}", 2)
        times.append(asked.first_s)
    tell(f"returning: {asked.usage.reused_tokens} tokens reused, {asked.usage.prefilled_tokens} computed")
    return sum(times) / len(times)


def _cold(path: Path, prompt: Prompt) -> float:
    """The whole prompt in full batches on an empty context, and nothing else."""
    loaded = load_model(path, SETTINGS, lambda _: True)
    tokens = loaded.template.render_turns(prompt.turns()).tokens
    began = time.perf_counter()
    for start in range(0, len(tokens), loaded.context.batch_tokens):
        loaded.context.prefill(TokenRun(0, start, tokens[start : start + loaded.context.batch_tokens]))
    loaded.context.get_logits(-1).tobytes()
    took = time.perf_counter() - began
    loaded.context.free()
    loaded.model.free()
    return took


def _evict(folder: Path) -> None:
    """Have the files read from the disk again, not from the page cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

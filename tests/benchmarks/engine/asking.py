"""Asking the engine, and text to ask it with."""

import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.engine import Prompt, Sampling, Usage
from models.llama.engine import LlamaEngine
from models.llama.settings import LlamaSettings
from tests.benchmarks import houses

SYSTEM = "You are the assistant of a house. You answer from the passages you are given."


@dataclass(frozen=True)
class Asked:
    """An answer, with seconds from the question to its first piece and to its end, and when each piece came."""

    text: str
    usage: Usage
    first_s: float
    total_s: float
    came: Sequence[float]


def bench_settings(**changes: object) -> LlamaSettings:
    """The default settings with changes; deterministic ones where the benchmark runs with DETERMINISTIC=1."""
    deterministic = os.environ.get("DETERMINISTIC") == "1"
    return LlamaSettings.model_validate({"deterministic": deterministic, **changes})


@asynccontextmanager
async def demo_engine(
    settings: LlamaSettings | None = None, snapshot_folder: Path | None = None
) -> AsyncIterator[LlamaEngine]:
    """An engine on the default model."""
    async with open_engine(await houses.chat_model(), settings, snapshot_folder) as engine:
        yield engine


@asynccontextmanager
async def open_engine(
    model: Path, settings: LlamaSettings | None = None, snapshot_folder: Path | None = None
) -> AsyncIterator[LlamaEngine]:
    """An engine on any model."""
    engine = await LlamaEngine.load(model, settings or bench_settings(), snapshot_folder=snapshot_folder)
    try:
        yield engine
    finally:
        await engine.close()


async def ask(engine: LlamaEngine, prompt: Prompt, key: str, tokens: int) -> Asked:
    """Ask for a greedy answer of `tokens` tokens at most."""
    began = time.perf_counter()
    came: list[float] = []
    text, usage = "", None
    async for item in engine.stream(prompt, key, greedy(tokens)):
        came.append(time.perf_counter())
        if isinstance(item, Usage):
            usage = item
        else:
            text += item
    assert usage is not None
    return Asked(text, usage, came[0] - began, came[-1] - began, came[:-1])


def greedy(tokens: int) -> Sampling:
    """The likeliest tokens."""
    return Sampling(temperature=0, repeat_penalty=1.0, max_tokens=tokens)


def text_of(engine: LlamaEngine, tokens: int, seed: int) -> str:
    """Sentences of about so many tokens, other ones for each seed."""
    chosen = random.Random(seed)
    words = houses.WORDS.split()
    text = ""
    while engine.count_tokens(text) < tokens - 5:
        text += " ".join(chosen.choices(words, k=8)).capitalize() + f" {chosen.randrange(100)}. "
    return text.strip()

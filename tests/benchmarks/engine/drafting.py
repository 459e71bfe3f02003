"""Tokens a second with speculative decoding over without, on the Q4_K_M slice: quoting answers, and others.

The slice's weights are random, so the answers are given: each position is computed and sampled as ever, and then the
token of the given answer is taken. A quoting answer is a piece of its prompt, another one never repeats three tokens.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.engine import Prompt
from models.llama.decoding.sampling import Sampler
from models.llama.engine import LlamaEngine
from models.llama.native.context import LlamaContext
from tests.benchmarks.engine.asking import ask, bench_settings, open_engine
from tests.benchmarks.engine.slices import slice_model
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell

ROUNDS, TOKENS = 2, 96
WORDS, WORD_LETTERS, QUOTED_FROM = 120, 6, 200
KINDS = ("quoting", "others")


def measure(folder: Path) -> Samples:
    """Both ratios in each round."""
    del folder
    return asyncio.run(_measure())


async def _measure() -> Samples:
    ratios: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(ROUNDS):
        rates = {(drafting, kind): 0.0 for drafting in (True, False) for kind in KINDS}
        # In the order one, other, other, one: what drifts on a shared machine hits both alike.
        for drafting in (True, False, False, True) if number % 2 else (False, True, True, False):
            async with open_engine(
                slice_model("Q4_K_M"), bench_settings(parallel=1, context_tokens=2048, speculation=drafting)
            ) as engine:
                for kind in KINDS:
                    rates[drafting, kind] += await _rate(engine, kind)
        for kind in KINDS:
            ratios[kind].append(rates[True, kind] / rates[False, kind])
        tell(f"drafting: quoting {ratios['quoting'][-1]:.2f}, others {ratios['others'][-1]:.2f} times as fast")
    return {f"speculation_over_plain_{kind}_q4_k_m": values for kind, values in ratios.items()}


async def _rate(engine: LlamaEngine, kind: str) -> float:
    """Tokens a second of a reply; a first one lets the engine measure its steps."""
    seconds = 0.0
    for number in range(3):
        text = _text(number)
        answer = text[QUOTED_FROM : QUOTED_FROM + TOKENS + 1] if kind == "quoting" else _text(100 + number)
        tokens = engine._loaded.model.tokenize(answer, parse_control=False)
        with _given(tokens):
            usage = (await ask(engine, Prompt("", (), text), f"{kind} {number}", TOKENS)).usage
        seconds += usage.decode_s if number else 0.0
    return 2 * TOKENS / seconds


def _text(seed: int) -> str:
    """Words of random letters, a token each."""
    chosen = random.Random(seed)
    return " ".join("".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=WORD_LETTERS)) for _ in range(WORDS))


@contextmanager
def _given(tokens: Sequence[int]) -> Iterator[None]:
    """Replies have these tokens, whatever is sampled."""
    sample, position = Sampler.sample_token, 0

    def sample_given(sampler: Sampler, context: LlamaContext, index: int, **options: Any) -> int:
        nonlocal position
        sample(sampler, context, index, **options)
        position += 1
        return tokens[position - 1]

    Sampler.sample_token = sample_given  # type: ignore[method-assign]
    try:
        yield
    finally:
        Sampler.sample_token = sample  # type: ignore[method-assign]

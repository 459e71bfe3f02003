"""Bytes written to disk over bytes of new state, in a conversation that pauses after each turn.

On a model of a few thousand weights: what is written follows from the number of tokens, not from the weights.
"""

import asyncio
from functools import partial
from pathlib import Path

import psutil

from models.engine import Prompt, Turn
from models.llama import inference_thread
from models.llama.engine import LlamaEngine
from models.llama.kv_cache.snapshot_store import SnapshotStore
from tests.benchmarks.engine.asking import SYSTEM, ask, bench_settings, open_engine, text_of
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell
from tests.fakes.tiny_gguf import write_tiny_model

TURNS, QUESTION_TOKENS, ANSWER_TOKENS = 20, 120, 24
WRITE_DELAY_S, PAUSE_S = 0.05, 0.8
"""A pause is longer than the engine waits for the next turn before it takes a snapshot, and before that is written."""


def measure(folder: Path) -> Samples:
    """The ratio of one conversation."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Samples:
    model = write_tiny_model(folder / "tiny.gguf", "attention", context_tokens=8192)
    inference_thread.SnapshotStore = partial(SnapshotStore, write_delay_s=WRITE_DELAY_S)  # type: ignore[misc,assignment]
    async with open_engine(model, bench_settings(parallel=1, threads=1), folder / "states") as engine:
        await _converse(engine, "first", 1)
        await engine.drop_state("first")
        before = _written_bytes()
        await _converse(engine, "room", TURNS)
        written = _written_bytes() - before
        state = await engine.drop_state("room")
    tell(f"writing: {written / 1e6:.2f} MB written for {state / 1e6:.2f} MB of state")
    return {"written_over_new_state": [written / state], "new_state_mb": [state / 1e6]}


async def _converse(engine: LlamaEngine, room: str, turns: int) -> None:
    history: tuple[Turn, ...] = ()
    for number in range(turns):
        question = text_of(engine, QUESTION_TOKENS, number)
        await ask(engine, Prompt(SYSTEM, history, question), room, ANSWER_TOKENS)
        history += (Turn("user", question), Turn("assistant", f"An answer of some twenty letters, number {number}."))
        await engine.warm_up(room, Prompt(SYSTEM, history, ""))
        await asyncio.sleep(PAUSE_S)


def _written_bytes() -> int:
    """Bytes that this process has handed to files, on Linux; the report goes to pipes and is a few lines."""
    return int(psutil.Process().io_counters().write_chars)

"""The event loop's lag while the whole application answers questions with the real model and the real index."""

import asyncio
from pathlib import Path

from bot.app import App, open_app
from bot.config.loading import load_config
from tests.benchmarks import houses
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell
from tests.benchmarks.lag import idle_p99_ms, sampled
from tests.fakes.messages import message
from tests.fakes.reply import RecordingReply

QUESTIONS = (
    "On which shelf is the backup drive?",
    "When does the nightly backup begin?",
    "Who has a key to the storeroom?",
    "What do I do when the internet is down?",
    "Which port does the photo service use?",
)
"""The first of them also loads the embedding model, so the maximum shows what a fresh start does to the loop."""


def measure(folder: Path) -> Samples:
    """One p99 for each answer, and one of the idle loop before."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Samples:
    file = houses.write_config(folder, houses.HANDBOOK)
    await asyncio.to_thread(houses.index, file)
    config = load_config(file)
    async with open_app(config) as app:
        idle = await idle_p99_ms(3)
        lags = [await _answer(app, number, question) for number, question in enumerate(QUESTIONS)]
    return {"lag_p99_generating_ms": lags, "lag_p99_idle_before_generating_ms": [idle]}


async def _answer(app: App, number: int, question: str) -> float:
    reply = RecordingReply(str(number))
    async with sampled() as lag:
        ended = await app.inbox.handle(message(question, str(number)), reply)
        assert ended is not None
        await ended
    if reply.closing is None:
        raise ValueError(f"there was no answer: {reply.failure}")
    timings = reply.closing.timings
    tell(f"generating: {timings.prompt_tokens} + {timings.generated_tokens} tokens, lag p99 {lag.p99_ms:.1f} ms")
    return lag.p99_ms

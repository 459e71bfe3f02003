"""The core's own time for a message: from handing it in to the end of its reply, with an engine that takes no time."""

import asyncio
import shutil
import time
from pathlib import Path

from tests.benchmarks import houses
from tests.benchmarks.figures import Samples
from tests.fakes.core import Core, running_core
from tests.fakes.messages import message

WARM_UP = 20
MESSAGES = 300
CONVERSATIONS = 4
QUESTIONS = ("On which shelf is the backup drive?", "When does the nightly backup begin?", "Who has a key?")


def measure(folder: Path) -> Samples:
    """Milliseconds of each message, journal and search included, asked one after another."""
    shutil.copytree(houses.HANDBOOK, folder / "documents" / "handbook")
    took_ms = asyncio.run(_measure(folder))[WARM_UP:]
    return {"core_per_message_ms": took_ms, "core_per_message_p95_ms": [sorted(took_ms)[int(0.95 * len(took_ms))]]}


async def _measure(folder: Path) -> list[float]:
    async with running_core(folder, flood_answers_per_minute=100_000, queue_notice_after_s=2.0) as core:
        return [await _ask(core, number) for number in range(WARM_UP + MESSAGES)]


async def _ask(core: Core, number: int) -> float:
    question = message(
        QUESTIONS[number % len(QUESTIONS)], str(number), conversation=f"console:{number % CONVERSATIONS}"
    )
    began = time.perf_counter()
    reply = await core.send(question)
    await reply.ended.wait()
    took_ms = 1000 * (time.perf_counter() - began)
    if reply.closing is None or not reply.closing.sources:
        raise ValueError(f"the answer rests on nothing: {reply.closing}")
    await core.inbox.wait_until_idle()
    return took_ms

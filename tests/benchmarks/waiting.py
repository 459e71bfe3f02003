"""The wait of an ordinary question behind 200 others, beside clients that never read and a file that takes a minute.

The same round is run in a second house at the same time, with clients that read and a file that is read at once; the
ratio of the two waits is what slow ones cost everybody else, whatever else runs on the machine. The clients are in
processes of their own, so that their work does not count as lag of ours.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.console.adapter import ConsoleAdapter
from adapters.console.settings import ConsoleSettings
from bot.server.local_socket import LocalServer
from bot.server.socket_commands import SocketCommands
from knowledge.reader import ReadDocument
from models.engine import Prompt
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell
from tests.benchmarks.lag import idle_p99_ms, sampled
from tests.benchmarks.machine import ROOT
from tests.fakes.core import running_core
from tests.fakes.engine import ScriptedEngine
from tests.fakes.openai_endpoint import KEYS, serving
from tests.fakes.paragraph_reader import ParagraphReader

ROUNDS = 4
ROUND_S = 100.0
LINE_BYTES = 1_000_000
FULL_MINUTE_S = 60.0


class MinuteReader(ParagraphReader):
    """A reader of attachments that takes a minute for a file named `slow.txt`."""

    async def read_bytes(self, name: str, data: bytes) -> list[ReadDocument]:
        if name == "slow.txt":
            await asyncio.sleep(FULL_MINUTE_S)
        return await super().read_bytes(name, data)


def answer(prompt: Prompt) -> list[str]:
    """Answers as long as the question asks for: more than the buffers of a socket, or one piece."""
    if "huge" in prompt.tail:
        return ["word " * 400] * 450
    return ["word " * 60] * 200 if "long" in prompt.tail else ["A ", "short ", "answer."] * 4


def measure(folder: Path) -> Samples:
    """Waits of both kinds in turn, and the lag beside the slow ones."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Samples:
    slow_s: list[float] = []
    readers_s: list[float] = []
    lags_ms: list[float] = []
    async with _crowded_house(folder / "readers") as readers, _crowded_house(folder / "slow") as slow:
        await asyncio.gather(_round(readers, reads=True), _round(slow, reads=True))  # warms up
        idle = await idle_p99_ms(2)
        for _ in range(ROUNDS):
            async with sampled() as lag:
                waits = await asyncio.gather(_round(readers, reads=True), _round(slow, reads=False))
            readers_s.append(waits[0])
            slow_s.append(waits[1])
            lags_ms.append(lag.p99_ms)
            tell(f"waiting: {waits[0]:.1f} s beside readers, {waits[1]:.1f} s beside others; {lags_ms[-1]:.0f} ms")
    return {
        "wait_beside_slow_over_beside_readers": [
            slow / readers for slow, readers in zip(slow_s, readers_s, strict=True)
        ],
        "wait_beside_slow_s": slow_s,
        "wait_beside_readers_s": readers_s,
        "waiting_lag_p99_ms": lags_ms,
        "waiting_lag_p99_idle_before_ms": [idle],
    }


@asynccontextmanager
async def _crowded_house(folder: Path) -> AsyncIterator[Process]:
    """A house and the process of its clients."""
    folder.mkdir()
    async with _house(folder) as arguments, _crowd(arguments) as crowd:
        yield crowd


@asynccontextmanager
async def _house(folder: Path) -> AsyncIterator[list[str]]:
    """A core of one place at the model with a socket and an endpoint; what the crowd needs to find them."""
    engine = ScriptedEngine(answer, piece_s=0.002)
    async with running_core(
        folder,
        engine=engine,
        attachments=MinuteReader(),
        flood_answers_per_minute=1_000_000,
        queue_notice_after_s=2,
        language="en",
    ) as core:
        console = ConsoleAdapter(ConsoleSettings())
        running = asyncio.create_task(console.run(core.inbox))
        server = LocalServer(folder, LINE_BYTES)
        await server.listen(SocketCommands(console, core.library).handlers())
        async with serving(core, priority="equal") as served:
            yield [str(folder), served.url, KEYS["editor"]]
        await server.stop()
        running.cancel()
        await core.inbox.close()
        await server.close()


@asynccontextmanager
async def _crowd(arguments: list[str]) -> AsyncIterator[Process]:
    """The process of the clients."""
    command = [sys.executable, "-m", "tests.benchmarks.waiting_crowd", *arguments]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _round(crowd: Process, *, reads: bool) -> float:
    """Let the crowd ask; the seconds that the ordinary question waited for its answer."""
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    crowd.stdin.write(json.dumps({"reads": reads}).encode() + b"\n")
    async with asyncio.timeout(ROUND_S):
        seen: Mapping[str, Any] = json.loads(await crowd.stdout.readline())
    return float(seen["wait_s"])

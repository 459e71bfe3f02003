"""All of Hearth on Discord under load: 200 channels, 50 mentions within a second, an engine at 30 tokens a second.

Discord is a fake one in a process of its own, so that its work does not count as lag of ours.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.discord.adapter import DiscordAdapter
from adapters.discord.composition import cog_builder
from adapters.discord.settings import DiscordSettings
from bot.config.schema import Config
from bot.daemon import run_daemon
from tests.benchmarks import houses
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell
from tests.benchmarks.lag import idle_p99_ms, sampled
from tests.benchmarks.machine import ROOT
from tests.fakes.discord_server.redirect import discord_py_at

TOKENS_PER_S, CAPACITY = 30, 8
READY_WITHIN_S, DONE_WITHIN_S = 30, 90
TOKEN_ENV = "HEARTH_BENCH_DISCORD_TOKEN"


def measure(folder: Path) -> Samples:
    """The figures of one run."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> Samples:
    async with _crowd() as crowd:
        discord = await _line(crowd, READY_WITHIN_S)
        os.environ[TOKEN_ENV] = str(discord["token"])
        with discord_py_at(f"{discord['url']}/api/v10", str(discord["gateway"])):
            async with _hearth(folder):
                await _line(crowd, READY_WITHIN_S)
                idle = await idle_p99_ms(2)
                async with sampled() as lag:
                    assert crowd.stdin is not None
                    crowd.stdin.write(b"go\n")
                    seen = await _line(crowd, DONE_WITHIN_S)
    tell(f"discord_load: {json.dumps(seen)}; lag at most {1000 * max(lag.late_s):.0f} ms")
    return {
        "discord_lag_p99_ms": [lag.p99_ms],
        "discord_lag_p99_idle_before_ms": [idle],
        "discord_mentions": [seen["asked"]],
        "discord_mentions_within_s": [seen["asked_within_s"]],
        "discord_lost_answers": [seen["unanswered"]],
        "discord_doubled_answers": [seen["doubled"]],
        "discord_channels_out_of_order": [seen["out_of_order"]],
        "discord_most_429_in_a_channel": [seen["most_429_a_channel"]],
        "discord_requests_429": [seen["refused_429"]],
        "discord_all_answered_s": [seen["took_s"]],
    }


def _config(folder: Path) -> Config:
    echo = {"tokens_per_s": TOKENS_PER_S, "capacity": CAPACITY}
    return Config.model_validate(
        {
            "data_folder": folder / "data",
            "http": {"enabled": False},
            "model": {"engine": "echo", "echo": echo},
            "core": {"when_nothing_found": "answer", "language": "en"},
            "knowledge": {
                "collections": {"house": {"folder": houses.HANDBOOK, "readers": ["everyone"]}},
                "embedding": {"kind": "hashing"},
            },
        }
    )


@asynccontextmanager
async def _hearth(folder: Path) -> AsyncIterator[None]:
    """Hearth on Discord, with an index."""
    settings = DiscordSettings(token_env=TOKEN_ENV)
    adapter = DiscordAdapter(settings, folder, cog_builder(settings, folder))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(adapter.close)
        host = await stack.enter_async_context(run_daemon(_config(folder), adapters=[adapter]))
        await host.app.library.reindex()
        yield


@asynccontextmanager
async def _crowd() -> AsyncIterator[Process]:
    """The process of the fake Discord."""
    command = [sys.executable, "-m", "tests.benchmarks.discord_crowd"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _line(process: Process, timeout_s: float) -> Mapping[str, Any]:
    async with asyncio.timeout(timeout_s):
        assert process.stdout is not None
        found: Mapping[str, Any] = json.loads(await process.stdout.readline())
        return found

"""Indexing 2,000 small files with real reader and embedding model: the lag of the loop, and a run without changes."""

import asyncio
import time
from pathlib import Path

from bot.app import App, open_app
from bot.config.loading import load_config
from bot.config.schema import Config
from tests.benchmarks import houses
from tests.benchmarks.figures import Samples
from tests.benchmarks.harness import tell
from tests.benchmarks.lag import Lag, idle_p99_ms, sampled

FILES = 2000
ROUNDS = 7
WINDOWS = 5


def measure(folder: Path) -> Samples:
    """Index once, sampling the lag; then reindex several times in an application opened anew."""
    config = load_config(
        houses.write_config(folder, houses.write_small_files(folder / "documents", FILES), engine="echo")
    )
    return asyncio.run(_indexed(config)) | asyncio.run(_unchanged(config))


async def _indexed(config: Config) -> dict[str, list[float]]:
    async with open_app(config) as app:
        idle = await idle_p99_ms(3)
        async with sampled() as lag:
            report = await app.library.reindex()
    if report.added != FILES or report.failed:
        raise ValueError(f"{report.added} files were indexed instead of {FILES}: {report.failed[:3]}")
    tell(f"indexing: {FILES} files in {report.took_s:.1f} s, lag p99 {lag.p99_ms:.1f} ms")
    return {
        "lag_p99_indexing_ms": _windows(lag),
        "lag_p99_idle_before_indexing_ms": [idle],
        "index_2000_files_s": [report.took_s],
    }


def _windows(lag: Lag) -> list[float]:
    """The p99 of each part of the run: reading, embedding and saving strain the loop differently."""
    size = len(lag.late_s) // WINDOWS
    return [Lag(lag.late_s[number * size : (number + 1) * size]).p99_ms for number in range(WINDOWS)]


async def _unchanged(config: Config) -> dict[str, list[float]]:
    async with open_app(config) as app:
        return {"reindex_unchanged_2000_files_s": [await _again(app) for _ in range(ROUNDS)]}


async def _again(app: App) -> float:
    began = time.perf_counter()
    report = await app.library.reindex()
    took_s = time.perf_counter() - began
    if report.unchanged != FILES:
        raise ValueError(f"{report.unchanged} files were unchanged instead of {FILES}")
    return took_s

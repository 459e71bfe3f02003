"""Statistics for the `stats` command: queue, speed, index, memory, uptime."""

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from statistics import median

import psutil

from bot.core import chart
from bot.core.engine_figures import engine_lines
from bot.core.history import History
from bot.core.messages import Attachment
from bot.core.ports import Adapter
from bot.core.queue import FairQueue
from bot.core.texts import Language, localize
from knowledge.library import Library
from models.engine import Engine


class Stats:
    """Collects statistics from the parts of the core."""

    def __init__(self, library: Library, engine: Engine, history: History, queue: FairQueue) -> None:
        self._library = library
        self._engine = engine
        self._history = history
        self._queue = queue
        self._adapters: dict[str, Adapter] = {}
        self._started = time.monotonic()

    def set_adapters(self, adapters: Iterable[Adapter]) -> None:
        """Set the running platforms, whose health becomes part of the statistics."""
        self._adapters = {adapter.platform: adapter for adapter in adapters}

    async def stats_text(self, language: Language, platform: str) -> str:
        """All statistics as a short text, with the health of the platform on which it is shown."""
        adapter = self._adapters.get(platform)
        health = await adapter.health(language) if adapter else ()
        return "\n".join([await self._core_text(language), *engine_lines(self._engine.report(), language), *health])

    async def _core_text(self, language: Language) -> str:
        answers = await self._history.answer_stats()
        answered = [answer.timings for answer in answers if answer.outcome == "answered"]
        return localize(
            "stats",
            language,
            uptime=timedelta(seconds=round(time.monotonic() - self._started)),
            model=self._engine.name,
            capacity=self._engine.capacity,
            memory=psutil.Process().memory_info().rss // 2**20,
            running=self._queue.running_count,
            waiting=self._queue.waiting_count,
            answered=len(answered),
            failed=sum(answer.outcome == "failed" for answer in answers),
            first_token=_median([timings.first_token_s for timings in answered]),
            tokens_per_s=_median([timings.tokens_per_s for timings in answered if timings.tokens_per_s]),
            collections=await self._collections(language),
        )

    async def chart_pictures(self, language: Language) -> tuple[Attachment, ...]:
        """A chart of the last day; none without an answer in it."""
        hours = chart.group_by_hour(await self._history.answer_stats(), time.time())
        if not any(hour.answers for hour in hours):
            return ()
        titles = localize("chart_answers", language), localize("chart_first_token", language)
        return (Attachment("last-day.png", "image/png", chart.draw_chart(hours, titles)),)

    async def _collections(self, language: Language) -> str:
        states = await self._library.collection_states()
        lines = [
            localize(
                "stats_collection", language, name=s.name, documents=s.documents, passages=s.passages, failed=s.failed
            )
            for s in states
        ]
        return "\n".join(lines) or localize("stats_no_collections", language)


def _median(values: Sequence[float]) -> str:
    return f"{median(values):.1f}" if values else "–"

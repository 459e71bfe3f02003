"""Figures for /metrics: fills the core's `Observer`, and samples the lag of the event loop."""

import asyncio
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from bot.core.messages import Timings
from bot.core.observe import Outcome
from knowledge.passages import CollectionState

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
LAG_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)
TOKEN_RATES = (1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 120, 200, 400)


class Metrics:
    """Fills `Observer`. Has a registry of its own, so that several can live in one process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._waiting = Gauge("hearth_queue_waiting", "Questions waiting for the engine.", registry=registry)
        self._running = Gauge("hearth_queue_running", "Answers being made.", registry=registry)
        self._wait = Histogram(
            "hearth_queue_wait_seconds", "From message to its turn.", registry=registry, buckets=SECONDS
        )
        self._first_token = Histogram(
            "hearth_first_token_seconds", "From message to the first text.", registry=registry, buckets=SECONDS
        )
        self._total = Histogram(
            "hearth_answer_seconds", "From message to the whole answer.", registry=registry, buckets=SECONDS
        )
        self._rate = Histogram(
            "hearth_tokens_per_second", "Speed of decoding, by answer.", registry=registry, buckets=TOKEN_RATES
        )
        self._prompt = Counter("hearth_prompt_tokens", "Tokens of prompts, by origin.", ["origin"], registry=registry)
        self._generated = Counter("hearth_generated_tokens", "Tokens of answers.", registry=registry)
        self._retrieval = Histogram("hearth_retrieval_seconds", "Time of searches.", registry=registry, buckets=SECONDS)
        self._hits = Histogram(
            "hearth_retrieval_hits", "Passages found by a search.", registry=registry, buckets=(0, 1, 2, 3, 5, 10, 20)
        )
        self._answers = Counter("hearth_answers", "Answers, by how they ended.", ["outcome"], registry=registry)
        self._errors = Counter("hearth_errors", "Errors that reached a person, by kind.", ["kind"], registry=registry)
        index = {
            "documents": "Documents in the index.",
            "passages": "Passages in the index.",
            "failed_files": "Files that could not be read.",
            "partly_read_files": "Files of which a part was not read.",
        }
        self._index = {
            name: Gauge(f"hearth_{name}", about, ["collection"], registry=registry) for name, about in index.items()
        }
        self._left_out = Gauge(
            "hearth_left_out",
            "Files and folders left out of the index, by cause.",
            ["collection", "cause"],
            registry=registry,
        )
        self._lag = Histogram(
            "hearth_loop_lag_seconds", "How late the event loop runs.", registry=registry, buckets=LAG_SECONDS
        )

    def queue_changed(self, waiting: int, running: int) -> None:
        """The queue changed."""
        self._waiting.set(waiting)
        self._running.set(running)

    def search_ended(self, took_s: float, hits: int) -> None:
        """A search ended."""
        self._retrieval.observe(took_s)
        self._hits.observe(hits)

    def answer_ended(self, outcome: Outcome, timings: Timings) -> None:
        """An answer ended; times of steps that it did not reach are left out."""
        self._answers.labels(outcome).inc()
        self._wait.observe(timings.queued_s)
        if timings.first_token_s:
            self._first_token.observe(timings.first_token_s)
        if outcome == "answered":
            self._total.observe(timings.total_s)
        if timings.tokens_per_s:
            self._rate.observe(timings.tokens_per_s)
        self._prompt.labels("prefilled").inc(timings.prefilled_tokens)
        self._prompt.labels("reused").inc(timings.reused_tokens)
        self._generated.inc(timings.generated_tokens)

    def index_changed(self, states: Sequence[CollectionState]) -> None:
        """The index was opened, or brought up to date."""
        self._left_out.clear()
        for state in states:
            self._index["documents"].labels(state.name).set(state.documents)
            self._index["passages"].labels(state.name).set(state.passages)
            self._index["failed_files"].labels(state.name).set(state.failed)
            self._index["partly_read_files"].labels(state.name).set(state.partly_read)
            for cause, count in state.left_out.items():
                self._left_out.labels(state.name, cause).set(count)

    def error_reported(self, kind: str) -> None:
        """An error of the named kind reached a person."""
        self._errors.labels(kind).inc()

    def loop_lagged(self, late_s: float) -> None:
        """The event loop ran a timer so many seconds late."""
        self._lag.observe(late_s)

    def exposition_text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)


async def sample_loop_lag(metrics: Metrics, every_s: float = 0.1) -> None:
    """Measure the lag of the loop's timers until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every_s
        await asyncio.sleep(every_s)
        metrics.loop_lagged(max(0.0, loop.time() - due))

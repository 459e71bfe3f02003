"""The figures behind /metrics."""

import asyncio
import time
from dataclasses import replace

from bot.core.messages import Timings
from bot.core.observe import Observer
from bot.server.metrics import Metrics, sample_loop_lag
from knowledge.passages import CollectionState


def figures(metrics: Metrics) -> dict[str, float]:
    lines = [line for line in metrics.exposition_text().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_an_answer_is_counted_with_its_times_and_tokens() -> None:
    metrics = Metrics()
    observer: Observer = metrics
    observer.queue_changed(3, 1)
    observer.search_ended(0.2, 4)
    observer.answer_ended(
        "answered",
        Timings(
            queued_s=0.5,
            first_token_s=1.5,
            total_s=4,
            prompt_tokens=100,
            prefilled_tokens=40,
            reused_tokens=60,
            generated_tokens=25,
            tokens_per_s=12.5,
        ),
    )
    found = figures(metrics)
    assert (found["hearth_queue_waiting"], found["hearth_queue_running"]) == (3, 1)
    assert found["hearth_queue_wait_seconds_sum"] == 0.5
    assert found["hearth_first_token_seconds_sum"] == 1.5
    assert found["hearth_answer_seconds_sum"] == 4
    assert found["hearth_tokens_per_second_sum"] == 12.5
    assert found['hearth_prompt_tokens_total{origin="prefilled"}'] == 40
    assert found['hearth_prompt_tokens_total{origin="reused"}'] == 60
    assert found["hearth_generated_tokens_total"] == 25
    assert found["hearth_retrieval_seconds_sum"] == 0.2
    assert found["hearth_retrieval_hits_sum"] == 4
    assert found['hearth_answers_total{outcome="answered"}'] == 1


def test_times_that_an_answer_never_came_to_are_left_out() -> None:
    metrics = Metrics()
    metrics.answer_ended("cancelled", Timings(queued_s=0.5))
    found = figures(metrics)
    assert found["hearth_first_token_seconds_count"] == 0
    assert found["hearth_answer_seconds_count"] == 0
    assert found["hearth_tokens_per_second_count"] == 0


def test_the_index_is_counted_by_collection_and_what_is_no_longer_left_out_is_dropped() -> None:
    metrics = Metrics()
    state = CollectionState("home", 3, 7, 1, True, partly_read=2, left_out={"kind": 4, "link": 1})
    metrics.index_changed([state])
    found = figures(metrics)
    names = ("documents", "passages", "failed_files", "partly_read_files")
    assert [found[f'hearth_{name}{{collection="home"}}'] for name in names] == [3, 7, 1, 2]
    assert found['hearth_left_out{cause="kind",collection="home"}'] == 4
    metrics.index_changed([replace(state, left_out={"kind": 5})])
    found = figures(metrics)
    assert found['hearth_left_out{cause="kind",collection="home"}'] == 5
    assert 'hearth_left_out{cause="link",collection="home"}' not in found


def test_errors_are_counted_by_kind() -> None:
    metrics = Metrics()
    for kind in ("engine", "engine", "search"):
        metrics.error_reported(kind)
    assert figures(metrics)['hearth_errors_total{kind="engine"}'] == 2


def test_two_registries_do_not_share_figures() -> None:
    first, second = Metrics(), Metrics()
    first.error_reported("engine")
    assert 'hearth_errors_total{kind="engine"}' not in figures(second)


async def test_a_blocked_loop_shows_as_lag() -> None:
    metrics = Metrics()
    sampling = asyncio.create_task(sample_loop_lag(metrics, every_s=0.01))
    await asyncio.sleep(0.02)
    time.sleep(0.3)
    await asyncio.sleep(0.02)
    sampling.cancel()
    await asyncio.wait([sampling])
    assert figures(metrics)["hearth_loop_lag_seconds_sum"] > 0.25

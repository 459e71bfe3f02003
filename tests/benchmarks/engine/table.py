"""All figures of `make bench-engine`, with their bars."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from tests.benchmarks.figures import Arm, Figure

_HERE = "tests.benchmarks.engine"


def _beside(
    name: str, unit: str, sense: Literal[">=", "<="], bar: float | None = None, aim: float | None = None
) -> tuple[Figure, ...]:
    """A figure of Hearth and of llama.cpp's own server; with a bar, ours over theirs is judged."""
    ratio = (Figure(f"ours_over_theirs_{name}", "ratio", sense, bar, aim),) if bar is not None else ()
    return (*ratio, Figure(f"ours_{name}", unit, sense), Figure(f"theirs_{name}", unit, sense))


ARMS = (
    Arm(
        "returning",
        f"{_HERE}.returning",
        (
            Figure("cold_over_warm_first_token", "ratio", ">=", bar=30, aim=50),
            Figure("disk_over_memory_first_token", "ratio", "<=", bar=2, aim=1.3),
            Figure("cold_first_token_s", "s", "<="),
            Figure("warm_first_token_s", "s", "<="),
            Figure("disk_first_token_s", "s", "<="),
        ),
        timeout_s=1200,
    ),
    Arm(
        "turns",
        f"{_HERE}.turns",
        (Figure("prefilled_over_new_tokens", "ratio", "<=", bar=1.10, aim=1.02), Figure("new_tokens", "tokens")),
        timeout_s=600,
    ),
    Arm(
        "together",
        f"{_HERE}.together",
        (
            Figure("four_together_over_one_tokens_per_s", "ratio", ">=", bar=1.35, aim=1.5),
            Figure("four_at_once_over_serial_first_token", "ratio", "<=", bar=0.75, aim=0.6),
            Figure("one_tokens_per_s", "tokens/s"),
            Figure("four_tokens_per_s", "tokens/s"),
        ),
        timeout_s=900,
    ),
    Arm(
        "streaming",
        "tests.benchmarks.streaming",
        (
            Figure("streamed_over_bare_tokens_per_s", "ratio", ">=", bar=0.95, aim=0.98),
            Figure("streamed_tokens_per_s", "tokens/s"),
            Figure("bare_tokens_per_s", "tokens/s"),
        ),
        timeout_s=600,
    ),
    Arm(
        "neighbour",
        f"{_HERE}.neighbour",
        (
            Figure("busy_over_idle_step", "ratio", "<=", bar=3, aim=2),
            Figure("idle_step_ms", "ms", "<="),
            Figure("busy_step_ms", "ms", "<="),
        ),
        timeout_s=600,
    ),
    Arm(
        "cancelling",
        f"{_HERE}.cancelling",
        (Figure("cancelled_prefill_ms", "ms", "<=", bar=100, aim=15),),
        timeout_s=300,
    ),
    Arm(
        "quoting",
        f"{_HERE}.quoting",
        (
            Figure("guessing_over_plain_quoting", "ratio", ">=", bar=1.15, aim=1.4),
            Figure("guessing_over_plain_other", "ratio", ">=", bar=0.97, aim=1.0),
        ),
        timeout_s=900,
    ),
    Arm(
        "lag",
        f"{_HERE}.lag_of_four",
        (
            Figure("lag_p99_four_replies_ms", "ms", "<=", bar=20, aim=10),
            Figure("lag_p99_idle_ms", "ms", "<="),
        ),
        timeout_s=300,
    ),
    Arm(
        "reading",
        f"{_HERE}.reading",
        (
            Figure("prefill_over_full_batches", "ratio", "<=", bar=1.15, aim=1.05),
            Figure("prefill_first_token_s", "s", "<="),
            Figure("full_batches_s", "s", "<="),
        ),
        timeout_s=600,
    ),
    Arm(
        "grouping",
        f"{_HERE}.grouping",
        tuple(
            Figure(f"{count}_over_one_tokens_per_s_{model}", "ratio", ">=", bar=bar, aim=aim)
            for model in ("demo", "q4_k_m", "q8_0")
            for count, bar, aim in (("two", 1.0, 1.3), ("eight", 2.0, 3))
        ),
        timeout_s=900,
    ),
    Arm(
        "drafting",
        f"{_HERE}.drafting",
        (
            Figure("speculation_over_plain_quoting_q4_k_m", "ratio", ">=", bar=1.3, aim=1.6),
            Figure("speculation_over_plain_others_q4_k_m", "ratio", ">=", bar=0.98, aim=1.0),
        ),
        timeout_s=900,
    ),
    Arm(
        "resident",
        f"{_HERE}.resident",
        (
            Figure("resident_idle_gb", "GB", "<=", bar=0.6, aim=0.4),
            Figure("resident_with_conversation_gb", "GB", "<=", bar=0.6, aim=0.4),
        ),
        timeout_s=300,
    ),
    Arm(
        "writing",
        f"{_HERE}.writing",
        (
            Figure("written_over_new_state", "ratio", "<=", bar=1.5, aim=1.1),
            Figure("new_state_mb", "MB"),
        ),
        timeout_s=300,
    ),
    Arm(
        "titles",
        f"{_HERE}.titles",
        (
            Figure("prefilled_over_new_with_titles_window", "ratio", "<=", bar=1.2, aim=1.05),
            Figure("prefilled_over_new_with_titles_attention", "ratio", "<=", bar=1.2, aim=1.05),
        ),
        timeout_s=300,
    ),
    Arm(
        "planning",
        f"{_HERE}.planning",
        (Figure("layers_over_those_of_one_reply", "ratio", ">=", bar=1.0, aim=1.0),),
        timeout_s=60,
    ),
    Arm(
        "starting",
        f"{_HERE}.starting",
        (
            Figure("load_over_reading", "ratio", "<=", bar=4, aim=2),
            Figure("load_s", "s", "<="),
            Figure("read_s", "s", "<="),
            Figure("cached_load_s", "s", "<="),
            Figure("cached_read_s", "s", "<="),
        ),
        timeout_s=300,
    ),
    Arm(
        "beside_reading",
        f"{_HERE}.beside.reading",
        _beside("prefill_first_token_s", "s", "<=", bar=1.0, aim=0.95),
        timeout_s=900,
    ),
    Arm(
        "beside_returning",
        f"{_HERE}.beside.returning",
        (
            *_beside("warm_first_token_s", "s", "<=", bar=0.8, aim=0.5),
            *_beside("restarted_first_token_s", "s", "<=", bar=0.1, aim=0.05),
        ),
        timeout_s=1800,
    ),
    Arm(
        "beside_replaying",
        f"{_HERE}.beside.replaying",
        (
            *_beside("replay_s", "s", "<=", bar=1.0, aim=0.9),
            *_beside("replay_prefilled_over_new", "ratio", "<="),
        ),
        timeout_s=1800,
    ),
    Arm(
        "beside_together",
        f"{_HERE}.beside.together",
        (
            *_beside("stream_tokens_per_s", "tokens/s", ">=", bar=0.95, aim=1.0),
            *_beside("four_at_once_tokens_per_s", "tokens/s", ">=", bar=0.95, aim=1.1),
            *_beside("eight_at_once_first_token_s", "s", "<=", bar=0.8, aim=0.5),
        ),
        timeout_s=900,
    ),
    Arm(
        "beside_interrupting",
        f"{_HERE}.beside.interrupting",
        (
            *_beside("longest_gap_s", "s", "<=", bar=0.4, aim=0.2),
            *_beside("first_token_after_cancel_s", "s", "<=", bar=0.1, aim=0.03),
        ),
        timeout_s=900,
    ),
)

_EQUALITY = Arm(
    "equality",
    f"{_HERE}.equality",
    tuple(
        Figure(f"equal_together_and_alone_{model}", "share", ">=", bar=1.0, aim=1.0)
        for model in ("demo", "q4_k_m", "q8_0")
    ),
    timeout_s=900,
)
_FAST_ARMS = frozenset({"reading", "grouping", "drafting", "beside_reading"})
"""What equal answers cost: chunks on a grid, and no more replies and drafts together than is proven."""


def deterministic_arms() -> Sequence[Arm]:
    """The arms for a run with DETERMINISTIC=1: what need not hold there is told and not judged, and equal
    answers are compared.
    """
    arms = [replace(arm, figures=_unjudged(arm.figures)) if arm.name in _FAST_ARMS else arm for arm in ARMS]
    return [*arms, _EQUALITY]


def _unjudged(figures: Sequence[Figure]) -> tuple[Figure, ...]:
    return tuple(replace(figure, bar=None, aim=None) for figure in figures)

"""Decisions between prefill and decode on the inference thread, as pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PendingPrefill:
    """A request whose prompt must be computed: expected seconds of prefill, and seconds waited so far."""

    prefill_s: float
    waited_s: float


@dataclass(frozen=True, slots=True)
class StepState:
    """State of the scheduler between two steps. Times are in seconds."""

    is_decoding: bool
    is_prefilling: bool
    since_decode_s: float
    chunk_s: float
    step_s: float
    prefilled_last: bool


def should_prefill(now: StepState, max_pause_s: float) -> bool:
    """Whether the next prefill chunk is computed before the running replies get their next token.

    Chunks go first as far as `max_pause_s` allows; at least one goes between two tokens, to avoid starvation.
    """
    if not now.is_prefilling or not now.is_decoding:
        return now.is_prefilling
    return not now.prefilled_last or now.since_decode_s + now.chunk_s + now.step_s <= max_pause_s


def choose_prefill(prefills: Sequence[PendingPrefill]) -> int:
    """Index of the prompt to compute first: the shortest, unless a longer one has waited longer by more than the
    difference in prefill time.

    Short and warm requests do not wait for long ones, and no request starves: it gains on all later ones as it waits.
    """
    return min(range(len(prefills)), key=lambda index: prefills[index].prefill_s - prefills[index].waited_s)

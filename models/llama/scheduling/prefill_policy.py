"""What the `llama` thread does next. Pure: figures in, a decision out."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PendingPrefill:
    """A question whose prompt is to be computed: how long that will take, and how long it has waited, in seconds."""

    prefill_s: float
    waited_s: float


@dataclass(frozen=True, slots=True)
class StepState:
    """How things stand between two steps. Times are seconds."""

    is_decoding: bool
    is_prefilling: bool
    since_decode_s: float
    chunk_s: float
    step_s: float
    prefilled_last: bool


def should_prefill(now: StepState, max_pause_s: float) -> bool:
    """Whether the next chunk of a prompt is computed before the running replies get their next token.

    Chunks go first as far as the gap allows; at least one goes between two tokens, or a prompt would never be read.
    """
    if not now.is_prefilling or not now.is_decoding:
        return now.is_prefilling
    return not now.prefilled_last or now.since_decode_s + now.chunk_s + now.step_s <= max_pause_s


def choose_prefill(readings: Sequence[PendingPrefill]) -> int:
    """Which prompt is computed first: the shortest, unless a longer one has waited longer by more than it needs more.

    So short and warm questions need not wait for long ones, and nobody starves: what waits gains on all that come.
    """
    return min(range(len(readings)), key=lambda index: readings[index].prefill_s - readings[index].waited_s)

"""How fast the model has been lately, and from that how long the next step, or somebody new, would take."""

import threading
import time
from heapq import heapify, heapreplace

from models.engine import Usage

# Weight of the newest value in the running means.
_SMOOTHING = 0.3


class Throughput:
    """Counts who waits and averages what steps and answers took; callable from any thread."""

    def __init__(self, capacity: int = 1) -> None:
        self._lock = threading.Lock()
        self._capacity = capacity
        self._waiting = 0
        self._admitted_at: dict[int, float] = {}
        self._first_token_s = 0.0
        self._answer_s = 0.0
        self._token_s = 0.0
        self._step_s = 0.0

    def set_capacity(self, capacity: int) -> None:
        """So many answers run together."""
        self._capacity = capacity

    def record_queued(self) -> None:
        """Somebody new waits."""
        with self._lock:
            self._waiting += 1

    def record_abandoned(self) -> None:
        """Somebody no longer waits."""
        with self._lock:
            self._waiting -= 1

    def record_admitted(self, number: int) -> None:
        """One who waited is served now, under a number of its own."""
        with self._lock:
            self._waiting -= 1
            self._admitted_at[number] = time.monotonic()

    def record_ended(self, number: int, usage: Usage | None) -> None:
        """The answer is over; `usage` is None when it was cut short."""
        with self._lock:
            self._admitted_at.pop(number, None)
            if usage is not None:
                self._first_token_s = _blend(self._first_token_s, usage.prefill_s)
                self._answer_s = _blend(self._answer_s, usage.prefill_s + usage.decode_s)

    def record_prefill(self, weight: float, seconds: float) -> None:
        """A chunk was computed; `weight` is its tokens, each counted by what it costs at its place."""
        self._token_s = _blend(self._token_s, seconds / weight)

    def record_decode_step(self, seconds: float) -> None:
        """All running replies got a token."""
        self._step_s = _blend(self._step_s, seconds)

    def prefill_s(self, weight: float) -> float:
        """Seconds that computing tokens of this weight will take; 0 before the first."""
        return self._token_s * weight

    def cost_within(self, seconds: float) -> float:
        """What can be computed in so many seconds; 0 before the first chunk."""
        return max(0.0, seconds) / self._token_s if self._token_s else 0.0

    @property
    def step_s(self) -> float:
        """Seconds of a step of all running replies."""
        return self._step_s

    def estimate_wait_s(self) -> float:
        """Seconds until the first token of somebody who came now: until a place is free, and a prefill. 0 before the
        first answer.
        """
        with self._lock:
            now = time.monotonic()
            free_in = [max(0.0, self._answer_s - (now - began)) for began in self._admitted_at.values()]
            free_in += [0.0] * (self._capacity - len(free_in))
            heapify(free_in)
            for _ in range(self._waiting):
                heapreplace(free_in, free_in[0] + self._answer_s)
            return free_in[0] + self._first_token_s


def _blend(mean: float, newest: float) -> float:
    return newest if mean == 0.0 else mean + _SMOOTHING * (newest - mean)

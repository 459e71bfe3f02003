"""Recent throughput of the model, and estimates from it: prefill, decode step, wait of a new request."""

import threading
import time
from heapq import heapify, heapreplace

from models.engine import Usage
from models.llama.moving_average import moving_average_or_first

# Weight of the newest value in the moving averages.
_SMOOTHING = 0.3


class Throughput:
    """Counts queued requests and averages the times of steps and replies; callable from any thread."""

    def __init__(self, capacity: int = 1) -> None:
        self._lock = threading.Lock()
        self._capacity = capacity
        self._queued = 0
        self._admitted_at: dict[int, float] = {}
        self._first_token_s = 0.0
        self._answer_s = 0.0
        self._token_s = 0.0
        self._step_s = 0.0

    def set_capacity(self, capacity: int) -> None:
        """Set the number of parallel replies."""
        self._capacity = capacity

    def record_queued(self) -> None:
        """A request was queued."""
        with self._lock:
            self._queued += 1

    def record_abandoned(self) -> None:
        """A queued request was dropped before its admission."""
        with self._lock:
            self._queued -= 1

    def record_admitted(self, request_id: int) -> None:
        """A queued request was admitted under this id."""
        with self._lock:
            self._queued -= 1
            self._admitted_at[request_id] = time.monotonic()

    def record_ended(self, request_id: int, usage: Usage | None) -> None:
        """An admitted request has ended; `usage` is None when it was cancelled or failed."""
        with self._lock:
            self._admitted_at.pop(request_id, None)
            if usage is not None:
                self._first_token_s = _average(self._first_token_s, usage.prefill_s)
                self._answer_s = _average(self._answer_s, usage.prefill_s + usage.decode_s)

    def record_prefill(self, cost: float, seconds: float) -> None:
        """A chunk was computed; `cost` is that of `PrefillPlan`, in tokens at position 0."""
        self._token_s = _average(self._token_s, seconds / cost)

    def record_decode_step(self, seconds: float) -> None:
        """All running replies got a token in so many seconds."""
        self._step_s = _average(self._step_s, seconds)

    def prefill_s(self, cost: float) -> float:
        """Expected seconds of a prefill of this cost; 0 before the first chunk."""
        return self._token_s * cost

    def cost_within(self, seconds: float) -> float:
        """Prefill cost that fits into so many seconds; 0 before the first chunk."""
        return max(0.0, seconds) / self._token_s if self._token_s else 0.0

    @property
    def step_s(self) -> float:
        """Expected seconds of a decode step of all running replies; 0 before the first."""
        return self._step_s

    def estimate_wait_s(self) -> float:
        """Seconds until the first token of a new request: wait for a slot, then prefill. 0 before the first reply."""
        with self._lock:
            now = time.monotonic()
            free_in = [max(0.0, self._answer_s - (now - admitted_at)) for admitted_at in self._admitted_at.values()]
            free_in += [0.0] * (self._capacity - len(free_in))
            heapify(free_in)
            for _ in range(self._queued):
                heapreplace(free_in, free_in[0] + self._answer_s)
            return free_in[0] + self._first_token_s


def _average(mean: float, newest: float) -> float:
    return moving_average_or_first(mean, newest, _SMOOTHING)

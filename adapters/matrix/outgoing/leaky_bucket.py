"""Leaky bucket of the account's events, which learns the homeserver's limits from its responses."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from adapters.delivery.errors import RateLimited
from adapters.matrix.limits import BURST, PER_S

REFUSAL_MEMORY_S = 300.0
"""How long a refusal counts: until then, no more is sent than the limits learnt from it allow. An admin who lifts the
limits sees the effect within minutes; where they stay, asking again costs one refused event.
"""

MARGIN_S = 0.05
"""Added to the wait of a refusal, which is given in whole milliseconds, because latency varies."""

SURELY_EMPTY = 0.9
"""Events. One accepted with fewer left (0.5 s by Synapse's default) shows that the assumed limits are wrong."""

MIN_PER_S, MAX_PER_S = 0.05, 10.0
"""Bounds of a learnt rate: one refusal of another kind must not silence the account."""

MAX_PAUSE_S = 8.0


class LeakyBucket:
    """A bucket like Synapse's (`synapse/api/ratelimiting.py`): `left` events may go at once, up to `burst`, and `per_s`
    come back a second. A refused event costs nothing, and its wait shows exactly how many are left.

    Times are seconds of one monotonic clock, given by the caller. `lifted`: the homeserver accepted more than the
    assumed limits allow, and has refused nothing since.
    """

    def __init__(self, burst: int = BURST, per_s: float = PER_S) -> None:
        self.burst = burst
        self.per_s = self._assumed_per_s = per_s
        self.lifted = False
        self._left, self._at = float(burst), -math.inf
        self._is_probing = False
        self._paused_until = self._known_until = -math.inf
        self._before_refusal = (self.lifted, self._known_until)
        self._refusals_in_row = self._accepted = 0
        self._retry_at: float | None = None  # of the last refusal, after which `_accepted` events were accepted

    def left(self, now: float) -> float:
        """Events that may go at once."""
        return min(float(self.burst), self._left + (now - self._at) * self.per_s)

    def wait_s(self, now: float, needed: float = 1.0) -> float:
        """Seconds until `needed` events are left, and a pause that the homeserver asked for is over."""
        pause_s = max(0.0, self._paused_until - now)
        return pause_s if self.lifted else max(pause_s, (needed - self.left(now)) / self.per_s)

    def is_unknown(self, now: float) -> bool:
        """Whether no response has shown yet whether the assumed limits are right."""
        return not self.lifted and now >= self._known_until

    def may_probe(self, now: float) -> bool:
        """Whether to send one event although none is left: accepted, it shows that the limits are lifted; refused,
        it costs nothing. One at a time.
        """
        is_free = not self._is_probing and now >= self._paused_until
        return is_free and self.is_unknown(now) and self.left(now) < SURELY_EMPTY

    def track_event(self, now: float, *, learns: bool = True) -> AbstractContextManager[None]:
        """An event goes out now; the context of its request. Without `learns` only the level changes: Synapse has other
        limits for joining a room too (`rc_joins`), so a refusal of it shows nothing about events.
        """
        left = self.left(now)
        if now >= self._known_until and self._retry_at is not None:
            self.per_s, self._retry_at = self._assumed_per_s, None
        self._left, self._at = left - 1, now
        probes = learns and left < 1 and not self.lifted
        self._is_probing = self._is_probing or probes
        return self._learn_outcome(now, left, learns, probes)

    @contextmanager
    def _learn_outcome(self, at: float, left: float, learns: bool, probes: bool) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if learns and isinstance(error, RateLimited):
                self._learn_refusal(at, error.retry_after_s)
            else:  # whether it counts is unknown; if it did, an outage would use up the bucket
                self._left += 1
            raise
        finally:
            self._is_probing = self._is_probing and not probes
        if learns:
            self._accepted, self._refusals_in_row = self._accepted + 1, 0
            self.lifted = self.lifted or left < SURELY_EMPTY

    def _learn_refusal(self, at: float, retry_after_s: float) -> None:
        retry_at = at + retry_after_s + MARGIN_S
        if at < self._paused_until:  # it was sent before an earlier one was refused
            self._paused_until = max(self._paused_until, retry_at)
            return
        self._refusals_in_row += 1
        self._paused_until = max(retry_at, at + min(MAX_PAUSE_S, 2.0 ** (self._refusals_in_row - 2)))
        if self._refusals_in_row > 1:  # refused after the wait: another kind of limit, so the first one proved nothing
            self.lifted, self._known_until = self._before_refusal
            return
        self._before_refusal = (self.lifted, self._known_until)
        self._learn_rate(at, retry_after_s)
        self._left, self._at = 1 - self.per_s * retry_after_s, at
        if not self.lifted:  # else the limits may still be higher than those assumed
            self._known_until = at + REFUSAL_MEMORY_S
        self.lifted = False

    def _learn_rate(self, at: float, retry_after_s: float) -> None:
        """Between two refusals, each accepted event moves the time of the next one by 1 / `per_s`."""
        retry_at, earlier = at + retry_after_s, self._retry_at
        # Within this time the bucket was never empty.
        if earlier is not None and self._accepted and retry_at - earlier < self.burst / self.per_s:
            self.per_s = self._accepted / max(retry_at - earlier, self._accepted / MAX_PER_S)
        elif retry_after_s > 0:  # no wait is longer than that for one event
            self.per_s = min(self.per_s, 1 / retry_after_s)
        self.per_s = max(MIN_PER_S, self.per_s)
        self._retry_at, self._accepted = retry_at, 0

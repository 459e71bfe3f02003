"""What the homeserver takes of this account, as far as is known: assumed at first, then learnt from what it answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from adapters.matrix.homeserver import RateLimited
from adapters.matrix.limits import BURST, PER_S

FORGOTTEN_S = 3600.0
"""For so long after a refusal nothing beyond what is assumed is tried."""

MARGIN_S = 0.05
"""Added to the wait that the homeserver asks for: it tells whole milliseconds, and the way there varies."""

SURELY_LEFT = 0.1
"""Events: the assumption has to be wrong by more than this (0.5 s by Synapse's default) before it is given up."""

SLOWEST_PER_S, FASTEST_PER_S = 0.05, 10.0
"""What a measured rate may be: one refusal by something else must not silence the account."""

MEASURED_OVER = 3
"""So many events at most may lie between two refusals that measure the rate: it is wrong if the bucket ran empty."""

LONGEST_PAUSE_S = 8.0


class LeakyBucket:
    """A leaky bucket like Synapse's (`synapse/api/ratelimiting.py`): `left` events may go at once, up to `burst`, and
    `per_s` come back a second. A refused event costs nothing, and says exactly when the next one may go.

    Times are seconds of one monotonic clock, given by the caller. `lifted`: more was taken than the assumption allows,
    and nothing has been refused since.
    """

    def __init__(self, burst: int = BURST, per_s: float = PER_S) -> None:
        self.burst = burst
        self.lifted = False
        self.per_s = self._assumed_per_s = per_s
        self._left, self._at = float(burst), float("-inf")
        self._trying = False
        self._closed_until = self._careful_until = float("-inf")
        self._refusals = 0
        self._before = (self._left, self._at, self.lifted, self._careful_until)
        self._refused: tuple[float, float] | None = None
        self._taken = 0

    def left(self, now: float) -> float:
        """How many events may go at once, by what is assumed."""
        return min(float(self.burst), self._left + (now - self._at) * self.per_s)

    def wait_s(self, now: float, needed: float = 1.0) -> float:
        """Seconds until `needed` events are left, and the homeserver does not ask to wait."""
        closed_s = max(0.0, self._closed_until - now)
        return closed_s if self.lifted else max(closed_s, (needed - self.left(now)) / self.per_s)

    def is_hopeful(self, now: float) -> bool:
        """Whether the homeserver may take more than is assumed: it has refused nothing for long."""
        return now >= self._careful_until

    def may_try(self, now: float) -> bool:
        """Whether to send one event although none is left. Taken, it shows that the limits are lifted; refused, it
        costs nothing.
        """
        ruled_out = self.left(now) < 1 - SURELY_LEFT
        return ruled_out and not self._trying and self.is_hopeful(now) and now >= self._closed_until

    def spend(self, now: float) -> "Reservation":
        """An event goes out now; use what is returned as a context around the request."""
        left = self.left(now)
        if self._careful_until <= now and self._refused is not None:
            self.per_s, self._refused = self._assumed_per_s, None
        self._left, self._at = left - 1, now
        tries = left < 1 and not self.lifted
        self._trying = self._trying or tries
        return Reservation(self, now, left, tries)

    def taken(self, spent: "Reservation") -> None:
        """The homeserver took an event."""
        self._settle(spent)
        self._refusals = 0
        self._taken += 1
        if spent.left < 1 - SURELY_LEFT:
            self.lifted = True

    def counted(self, spent: "Reservation") -> None:
        """The homeserver took something that may count elsewhere too: it counts here, and teaches nothing."""
        self._settle(spent)

    def lost(self, spent: "Reservation") -> None:
        """Nobody knows whether an event counts. As none, or an outage would use up everything."""
        self._settle(spent)
        self._left += 1

    def refused(self, spent: "Reservation", retry_after_s: float) -> None:
        """The homeserver asks to wait so long."""
        self._settle(spent)
        reopens = spent.at + retry_after_s + MARGIN_S
        if spent.at < self._closed_until:  # it was under way when an earlier one was refused
            self._closed_until = max(self._closed_until, reopens)
            return
        self._refusals += 1
        self._closed_until = max(reopens, spent.at + min(LONGEST_PAUSE_S, 2.0 ** (self._refusals - 2)))
        if self._refusals > 1:  # it waited as it was told: this is no bucket, and teaches nothing about one
            self._left, self._at, self.lifted, self._careful_until = self._before
            return
        self._before = (spent.left, spent.at, self.lifted, self._careful_until)
        self._measure(spent.at, retry_after_s)
        self._left, self._at = 1 - self.per_s * retry_after_s, spent.at
        if not self.lifted:  # else it may still take more than was assumed at first
            self._careful_until = spent.at + FORGOTTEN_S
        self.lifted = False

    def _measure(self, at: float, retry_after_s: float) -> None:
        """Learn the rate: each refusal says where the bucket stood, and nobody waits longer than for one event."""
        if self._refused is not None and 1 <= self._taken <= MEASURED_OVER:
            refused_at, earlier_s = self._refused
            span_s = max(1e-3, retry_after_s - earlier_s + at - refused_at)
            self.per_s = min(FASTEST_PER_S, max(SLOWEST_PER_S, self._taken / span_s))
        elif retry_after_s > 0:
            self.per_s = max(SLOWEST_PER_S, min(self.per_s, 1 / retry_after_s))
        self._refused, self._taken = (at, retry_after_s), 0

    def _settle(self, spent: "Reservation") -> None:
        if spent.tries:
            self._trying = False


class Reservation:
    """An event on its way; as a context around its request it tells the bucket what came of it."""

    def __init__(self, bucket: LeakyBucket, at: float, left: float, tries: bool) -> None:
        self._bucket = bucket
        self.at = at
        self.left = left
        self.tries = tries

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The context for joining or leaving a room: Synapse counts that among the events, and has other limits for it
        too (`rc_joins`), so a refusal says nothing about events.
        """
        try:
            yield
        except BaseException:
            self._bucket.lost(self)
            raise
        self._bucket.counted(self)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self._bucket.taken(self)
        elif isinstance(error, RateLimited):
            self._bucket.refused(self, error.retry_after_s)
        else:
            self._bucket.lost(self)

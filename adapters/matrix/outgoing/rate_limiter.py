"""Rate limiter of the account over all rooms: final texts go before first texts, first texts before edits."""

import asyncio
import math
from contextlib import AbstractContextManager
from typing import Literal

from adapters.matrix.limits import MAX_EDITS
from adapters.matrix.outgoing.leaky_bucket import LeakyBucket

Kind = Literal["final", "first", "edit"]

EDIT_GAP_S = 1.0
"""Seconds between two edits of a reply that no limit delays."""

LONG_ANSWER_S = 120.0
"""The edits of a reply are spread so that they last at least this long."""

RESERVED_EDITS = 2
"""Edits of each reply that are reserved for its last text."""

SPARE_EVENTS = 4.0
"""Events that edits leave for the next question, minus twice those that have come back since the last edit."""

PROBE_LEVEL = 1.65
"""While the limits are unknown, the only open reply spends the bucket to this level and then tries one more event. If
that is refused, 1.65 - 1 events are left, and the next one, even the final text, waits less than two seconds.
"""

POLL_S = 0.05


class SendRateLimiter:
    """Grants the events of one account to its replies."""

    def __init__(self, bucket: LeakyBucket | None = None) -> None:
        self.bucket = bucket or LeakyBucket()
        self.open_replies: set[ReplyQuota] = set()
        self.queue: dict[ReplyQuota, Kind] = {}
        self._last_edit_at = -math.inf

    async def acquire_slot(self, kind: Kind, *, learns: bool = True) -> AbstractContextManager[None]:
        """Wait until a single event may go: `with await limiter.acquire_slot("first"): await homeserver.send(...)`.

        As an `edit` it goes after those of all replies. For `learns` see `LeakyBucket.track_event`.
        """
        quota = ReplyQuota(self, sent_at=math.inf).as_kind(kind)
        try:
            while True:
                now = asyncio.get_running_loop().time()
                wait_s = max(quota.wait_s(now), 0.0 if quota.enqueue(self) else POLL_S)
                if wait_s <= 0:
                    return self.track_event(kind, now, learns=learns)
                await asyncio.sleep(wait_s)
        finally:
            quota.leave_queue(self)

    def wait_s(self, quota: "ReplyQuota", kind: Kind, now: float) -> float:
        """Seconds until an event of this kind may go, as far as known now.

        While the limits are unknown, first texts wait for no reserve: the limits are learnt from an event beyond them,
        and a text that waited would neither go nor teach.
        """
        if kind == "edit":
            return max(0.0, self._edit_wait_s(quota, now))
        if self.bucket.may_probe(now):
            return 0.0
        waits_for_reserve = kind == "first" and not self.bucket.is_unknown(now)
        return max(0.0, self.bucket.wait_s(now, 1 + (self._reserved() if waits_for_reserve else 0)))

    def track_event(self, kind: Kind, now: float, *, learns: bool = True) -> AbstractContextManager[None]:
        """An event goes out now; the context of its request."""
        if kind != "final":
            self._last_edit_at = now
        return self.bucket.track_event(now, learns=learns)

    def is_probing(self, now: float) -> bool:
        """Whether to spend the bucket in order to learn whether the limits are lifted: with one open reply at most."""
        return self.bucket.is_unknown(now) and len(self.open_replies) <= 1 and "first" not in self.queue.values()

    def _reserved(self) -> float:
        """Events for the final texts of open replies; two are never reserved, or no other event would ever go."""
        return min(len(self.open_replies), self.bucket.burst - 2)

    def _edit_wait_s(self, quota: "ReplyQuota", now: float) -> float:
        bucket, wait_s = self.bucket, quota.next_edit_at - now
        if bucket.lifted:
            return max(wait_s, bucket.wait_s(now))
        learns = quota in self.open_replies and bucket.is_unknown(now) and "first" not in self.queue.values()
        if learns and bucket.may_probe(now):
            return wait_s
        if learns and self.is_probing(now):
            return max(wait_s, bucket.wait_s(now, PROBE_LEVEL))
        if any(kind == "edit" and other.goes_before(quota, now) for other, kind in self.queue.items()):
            wait_s = max(wait_s, POLL_S)
        needed = 1 + self._reserved() + list(self.queue.values()).count("first")
        if learns:
            return max(wait_s, bucket.wait_s(now, needed))
        spare = SPARE_EVENTS - 2 * bucket.per_s * (now - self._last_edit_at)
        return max(wait_s, bucket.wait_s(now, needed), (needed + spare - bucket.left(now)) / (3 * bucket.per_s))


class ReplyQuota:
    """Fills `SendPermit` for the events of one reply. The reply whose last event is the oldest edits next."""

    def __init__(self, limiter: SendRateLimiter, sent_at: float = -math.inf) -> None:
        self._limiter = limiter
        self._kind: Kind = "first"
        self._is_final = False
        self._edits = 0
        self._begun_at, self._sent_at = math.inf, sent_at
        self.next_edit_at = -math.inf

    def open(self) -> None:
        """The reply begins: an event is reserved for its final text."""
        self._limiter.open_replies.add(self)

    def close(self) -> None:
        """The reply has ended; may be called again."""
        self._limiter.open_replies.discard(self)
        self.leave_queue(self)

    def as_kind(self, kind: Kind) -> "ReplyQuota":
        """The quota, with a next event of this kind unless it is final."""
        self._kind = kind
        return self

    def wait_s(self, now: float, *, final: bool = False) -> float:
        """Seconds until the next event may go; called right before it is sent, as final or not."""
        self._is_final = final
        return self._limiter.wait_s(self, "final" if final else self._kind, now)

    def enqueue(self, caller: object) -> bool:
        """Queue for the next event; whether it is the quota's turn. Among edits, `wait_s` decides that."""
        queue = self._limiter.queue
        if queue.setdefault(self, self._kind) != self._kind:
            queue[self] = self._kind
        return self._kind != "first" or next(each for each, kind in queue.items() if kind == "first") is self

    def leave_queue(self, caller: object) -> None:
        """Leave the queue."""
        self._limiter.queue.pop(self, None)

    def record_sent(self, now: float) -> None:
        """The next event goes out now, in the context of `track_request`."""
        self._begun_at, self._sent_at = min(now, self._begun_at), now
        self._edits += self._kind == "edit"
        self.next_edit_at = now + self._gap_s(now - self._begun_at, now)

    def track_request(self) -> AbstractContextManager[None]:
        """The context of the request that goes out now."""
        return self._limiter.track_event("final" if self._is_final else self._kind, self._sent_at)

    def goes_before(self, other: "ReplyQuota", now: float) -> bool:
        """Whether this reply is ready for an edit and has waited longer for it than another."""
        return now >= self.next_edit_at and self._sent_at < other._sent_at

    def _gap_s(self, age_s: float, now: float) -> float:
        """Seconds to the next edit: the gaps grow with the answer, by the same factor each time."""
        edits = MAX_EDITS - RESERVED_EDITS - self._edits
        if edits <= 0:
            return math.inf
        if age_s < EDIT_GAP_S or self._limiter.is_probing(now):
            return EDIT_GAP_S
        lasts_s = max(LONG_ANSWER_S, 2 * age_s)
        return max(EDIT_GAP_S, age_s * (math.pow(lasts_s / age_s, 1 / edits) - 1))

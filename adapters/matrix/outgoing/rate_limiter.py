"""Rate limiter of the account over all rooms: final texts go before first texts, first texts before edits."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, TypeVar

from adapters.matrix.limits import MAX_EDITS
from adapters.matrix.outgoing.leaky_bucket import LeakyBucket

Kind = Literal["final", "first", "edit"]

EDIT_GAP_S = 1.0
"""Between two edits of a reply where no limit holds them up."""

LONG_ANSWER_S = 120.0
"""The edits of a reply are spread so that they last at least this long."""

RESERVED_EDITS = 2
"""Edits of each reply that are reserved for its last text."""

SPARE_EVENTS = 4.0
"""Events that edits leave for the next question; three times as fast as they come back, edits may use them."""

PROBE_LEVEL = 1.65
"""While the limits are unknown, an only reply spends the bucket to this level and then tries one more. If that is
refused, 1.65 - 1 events are left, and the next one, be it the final text, waits less than two seconds.
"""

POLL_S = 0.05

Value = TypeVar("Value")


class SendRateLimiter:
    """The events of one account."""

    def __init__(self, bucket: LeakyBucket | None = None) -> None:
        self.bucket = bucket or LeakyBucket()
        self._open: set[ReplyQuota] = set()
        self._queue: dict[ReplyQuota, Kind] = {}
        self._last_edit_at = float("-inf")

    def reply_quota(self) -> "ReplyQuota":
        """The quota of one reply."""
        return ReplyQuota(self)

    async def acquire_slot(self, kind: Kind, *, learns: bool = True) -> AbstractContextManager[None]:
        """Wait until a single event may go: `with await limiter.acquire_slot("first"): await homeserver.send(...)`.

        As an `edit` it goes after those of all replies. For `learns` see `LeakyBucket.track_event`.
        """
        quota = ReplyQuota(self, sent_at=math.inf)
        try:
            while (wait_s := self._queue_wait_s(quota, kind, now := _now())) > 0:  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(wait_s)
        finally:
            self.leave_queue(quota)
        return self.track_event(kind, now, learns=learns)

    async def send_event(self, kind: Kind, request: Callable[[], Awaitable[Value]]) -> Value:
        """Make a request that sends an event when it is its turn. Raises the errors of the request."""
        with await self.acquire_slot(kind):
            return await request()

    def open_quota(self, quota: "ReplyQuota") -> None:
        """Reserve an event for the final text of a reply from now on."""
        self._open.add(quota)

    def close_quota(self, quota: "ReplyQuota") -> None:
        """Release it."""
        self._open.discard(quota)
        self.leave_queue(quota)

    def enqueue(self, quota: "ReplyQuota", kind: Kind) -> bool:
        """Queue for the next event; whether it is the quota's turn. Among edits, `wait_s` decides that."""
        self._queue.setdefault(quota, kind)
        return kind != "first" or next(self._queued("first")) is quota

    def leave_queue(self, quota: "ReplyQuota") -> None:
        """Leave the queue."""
        self._queue.pop(quota, None)

    def wait_s(self, quota: "ReplyQuota", kind: Kind, now: float) -> float:
        """Seconds until an event of this kind may go, as far as known now."""
        if kind == "edit":
            return max(0.0, self._edit_wait_s(quota, now))
        if self.bucket.may_probe(now):
            return 0.0
        return max(0.0, self.bucket.wait_s(now, 1.0 if kind == "final" else 1 + self._reserved()))

    def track_event(self, kind: Kind, now: float, *, learns: bool = True) -> AbstractContextManager[None]:
        """The context of a request that sends an event now."""
        if kind != "final":
            self._last_edit_at = now
        return self.bucket.track_event(now, learns=learns)

    def is_probing(self, now: float) -> bool:
        """Whether the bucket may be spent to learn whether the limits are lifted: for an only reply."""
        unknown = not self.bucket.is_careful(now) and not self.bucket.lifted
        return unknown and len(self._open) <= 1 and not any(self._queued("first"))

    def _queue_wait_s(self, quota: "ReplyQuota", kind: Kind, now: float) -> float:
        is_next = self.enqueue(quota, kind)
        return max(self.wait_s(quota, kind, now), 0.0 if is_next else POLL_S)

    def _queued(self, kind: Kind) -> "Iterator[ReplyQuota]":
        return (quota for quota, queued_kind in self._queue.items() if queued_kind == kind)

    def _reserved(self) -> float:
        """Events for the final texts of open replies; two are never reserved, or no other event would ever go."""
        return min(len(self._open), self.bucket.burst - 2)

    def _edit_wait_s(self, quota: "ReplyQuota", now: float) -> float:
        bucket, wait_s = self.bucket, quota.next_edit_at - now
        if bucket.lifted:
            return max(wait_s, bucket.wait_s(now))
        if quota in self._open and self.is_probing(now):
            return wait_s if bucket.may_probe(now) else max(wait_s, bucket.wait_s(now, PROBE_LEVEL))
        if any(other.goes_before(quota, now) for other in self._queued("edit")):
            wait_s = max(wait_s, POLL_S)
        needed = 1 + self._reserved() + sum(1 for _ in self._queued("first"))
        regained = 2 * bucket.per_s * (now - self._last_edit_at)
        spare_wait_s = (needed + SPARE_EVENTS - regained - bucket.left(now)) / (3 * bucket.per_s)
        return max(wait_s, bucket.wait_s(now, needed), spare_wait_s)


class ReplyQuota:
    """The events of one reply, from `open` to `close`. The reply whose last event is the oldest edits next."""

    def __init__(self, limiter: SendRateLimiter, sent_at: float = -math.inf) -> None:
        self._limiter = limiter
        self._begun_at: float | None = None
        self._sent_at = sent_at
        self._sent_kind: Kind = "first"
        self._is_edit = False
        self.next_edit_at = -math.inf
        self.edits = 0
        self.first = ReplyPermit(limiter, self, "first")
        self.edit = ReplyPermit(limiter, self, "edit")

    def open(self) -> None:
        """The reply begins: an event is reserved for its final text."""
        self._limiter.open_quota(self)

    def close(self) -> None:
        """The reply has ended; may be called again."""
        self._limiter.close_quota(self)

    def record_sent(self, kind: Kind, now: float, *, is_edit: bool) -> None:
        """An event goes out now, in the context of `track_request`."""
        self._begun_at = now if self._begun_at is None else self._begun_at
        self._sent_kind, self._sent_at, self._is_edit = kind, now, is_edit
        self.next_edit_at = now + self._gap_s(now - self._begun_at, now)

    @contextmanager
    def track_request(self) -> Iterator[None]:
        """The context of the request that goes out now."""
        try:
            with self._limiter.track_event(self._sent_kind, self._sent_at):
                yield
        finally:
            self.edits += self._is_edit

    def goes_before(self, other: "ReplyQuota", now: float) -> bool:
        """Whether this reply is ready for an edit and has waited longer for it than another."""
        return now >= self.next_edit_at and self._sent_at < other._sent_at

    def _gap_s(self, age_s: float, now: float) -> float:
        """Seconds to the next edit: the gaps grow with the answer, by the same factor each time."""
        edits = MAX_EDITS - RESERVED_EDITS - self.edits - self._is_edit
        if edits <= 0:
            return math.inf
        if age_s < EDIT_GAP_S or self._limiter.is_probing(now):
            return EDIT_GAP_S
        lasts_s = max(LONG_ANSWER_S, 2 * age_s)
        return max(EDIT_GAP_S, age_s * (math.pow(lasts_s / age_s, 1 / edits) - 1))


class ReplyPermit:
    """Fills `SendPermit` for the events of one kind of one reply."""

    def __init__(self, limiter: SendRateLimiter, quota: ReplyQuota, kind: Kind) -> None:
        self._limiter = limiter
        self._quota = quota
        self._kind = kind
        self._is_final = False

    def wait_s(self, now: float, *, final: bool = False) -> float:
        """Seconds until such an event may go; called right before it is sent, as final or not."""
        self._is_final = final
        return self._limiter.wait_s(self._quota, "final" if final else self._kind, now)

    def enqueue(self, who: object) -> bool:
        """Queue for the event; `who` is the reply's own `LiveEdit`."""
        return self._limiter.enqueue(self._quota, self._kind)

    def leave_queue(self, who: object) -> None:
        """Leave the queue."""
        self._limiter.leave_queue(self._quota)

    def record_sent(self, now: float) -> None:
        """The event goes out now."""
        self._quota.record_sent("final" if self._is_final else self._kind, now, is_edit=self._kind == "edit")


def _now() -> float:
    return asyncio.get_running_loop().time()

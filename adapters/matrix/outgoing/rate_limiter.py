"""Shares what the homeserver takes of this account among all rooms: final texts before first texts before edits."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from adapters.matrix.limits import MAX_EDITS
from adapters.matrix.outgoing.leaky_bucket import LeakyBucket, Reservation

Kind = Literal["final", "first", "edit"]

FLUENT_S = 1.0
"""Between two edits of a reply where nothing else holds them up."""

LONG_ANSWER_S = 120.0
"""The edits of a reply are spread so that they last at least this long."""

KEPT_EDITS = 2
"""Edits of each reply that are kept for its last text."""

SPARE = 4.0
"""Events that edits leave for whoever asks next, the less the longer nothing was edited."""

PATIENCE = 2.0
"""How much: so many times what comes back meanwhile."""

EAGER_LEFT = 1.65
"""Where it is not known yet whether the limits are lifted, the only reply spends up to here and then tries one more. If
that is refused, 1.65 - 1 events are left, and the next one, be it the final text, waits less than two seconds.
"""

BEHIND_OTHERS_S = 0.05
NEVER_S = 3600.0

Value = TypeVar("Value")


class SendRateLimiter:
    """The events of one account. Nothing but times and what became of earlier events decides who may send."""

    def __init__(self, bucket: LeakyBucket | None = None) -> None:
        self.bucket = bucket or LeakyBucket()
        self._open: set[ReplyQuota] = set()
        self._firsts: list[object] = []
        self._edits: set[ReplyQuota] = set()
        self._edited_at = float("-inf")

    def share(self) -> "ReplyQuota":
        """The share of one reply."""
        return ReplyQuota(self)

    async def turn(self, kind: Kind) -> Reservation:
        """Wait until a single event may go: `with await budget.turn("first"): await wire.send(...)`.

        As an `edit` it goes behind those of all replies.
        """
        share = ReplyQuota(self, sent_at=float("inf"))
        try:
            while (wait_s := self._line_wait_s(share, kind, now := _now())) > 0:  # noqa: ASYNC110 - time tells, no event
                await asyncio.sleep(wait_s)
        finally:
            self.leave(share)
        return self.sent(kind, now)

    async def spend(self, kind: Kind, request: Callable[[], Awaitable[Value]]) -> Value:
        """Make a request that sends an event when it is its turn. Raises what the request raises."""
        with await self.turn(kind):
            return await request()

    def opened(self, share: "ReplyQuota") -> None:
        """Keep room for the final text of a reply from now on."""
        self._open.add(share)

    def closed(self, share: "ReplyQuota") -> None:
        """The reply has ended."""
        self._open.discard(share)
        self.leave(share)

    def enqueue(self, share: "ReplyQuota", kind: Kind) -> bool:
        """Stand in line; whether it is the share's turn. Who is next to edit is told by `wait_s`."""
        if kind == "edit":
            self._edits.add(share)
        elif kind == "first":
            if share not in self._firsts:
                self._firsts.append(share)
            return self._firsts[0] is share
        return True

    def leave(self, share: "ReplyQuota") -> None:
        """Stand in no line."""
        self._edits.discard(share)
        if share in self._firsts:
            self._firsts.remove(share)

    def wait_s(self, share: "ReplyQuota", kind: Kind, now: float) -> float:
        """Seconds until an event of this kind may go, as far as known now."""
        if kind == "edit":
            return max(0.0, min(NEVER_S, self._edit_wait_s(share, now)))
        if self.bucket.may_try(now):
            return 0.0
        return max(0.0, self.bucket.wait_s(now, 1.0 if kind == "final" else 1 + self._kept()))

    def sent(self, kind: Kind, now: float) -> Reservation:
        """An event goes out now."""
        if kind != "final":
            self._edited_at = now
        return self.bucket.spend(now)

    def is_eager(self, now: float) -> bool:
        """Whether what is left may be spent to find out whether there is more: for one reply, and none behind it."""
        hopeful = self.bucket.is_hopeful(now) and not self.bucket.lifted
        return hopeful and len(self._open) <= 1 and not self._firsts

    def _line_wait_s(self, share: "ReplyQuota", kind: Kind, now: float) -> float:
        first = self.enqueue(share, kind)
        wait_s = self.wait_s(share, kind, now)
        return wait_s if first else max(wait_s, BEHIND_OTHERS_S)

    def _kept(self) -> float:
        """Events kept for the final texts of open replies; a few are never kept, or nothing else would ever go."""
        return min(len(self._open), self.bucket.burst - 2)

    def _edit_wait_s(self, share: "ReplyQuota", now: float) -> float:
        wait_s = share.next_edit_at - now
        if self.bucket.lifted:
            return max(wait_s, self.bucket.wait_s(now))
        if share in self._open and self.is_eager(now):
            return wait_s if self.bucket.may_try(now) else max(wait_s, self.bucket.wait_s(now, EAGER_LEFT))
        if any(other.is_before(share, now) for other in self._edits):
            wait_s = max(wait_s, BEHIND_OTHERS_S)
        needed = 1 + self._kept() + len(self._firsts)
        return max(wait_s, self.bucket.wait_s(now, needed), self._spare_wait_s(needed, now))

    def _spare_wait_s(self, needed: float, now: float) -> float:
        per_s = self.bucket.per_s
        patience = PATIENCE * per_s * (now - self._edited_at)
        return (needed + SPARE - patience - self.bucket.left(now)) / (per_s * (1 + PATIENCE))


class ReplyQuota:
    """What one reply has of the budget, from `open` to `close`. Whose last event is the oldest edits next."""

    def __init__(self, budget: SendRateLimiter, sent_at: float = float("-inf")) -> None:
        self._budget = budget
        self._spent: Reservation | None = None
        self._begun_at, self._sent_at = float("-inf"), sent_at
        self.next_edit_at = float("-inf")
        self.edits = 0
        self.first = ReplyPermit(budget, self, "first")
        self.edit = ReplyPermit(budget, self, "edit")

    def open(self) -> None:
        """The reply begins: room is kept for its final text."""
        self._budget.opened(self)

    def close(self) -> None:
        """The reply has ended; may be called again."""
        self._budget.closed(self)

    def sent(self, kind: Kind, now: float, edits: bool) -> None:
        """An event goes out now."""
        self._spent = self._budget.sent(kind, now)
        if self._begun_at == float("-inf"):
            self._begun_at = now
        self.edits += edits
        self._sent_at, self.next_edit_at = now, now + self._gap_s(now)

    @property
    def request(self) -> Reservation:
        """The context for the request that was let go last."""
        assert self._spent is not None, "nothing goes out before its turn"
        return self._spent

    def is_before(self, other: "ReplyQuota", now: float) -> bool:
        """Whether this reply is ready for an edit and has waited longer for it than another."""
        return now >= self.next_edit_at and self._sent_at < other._sent_at

    def _gap_s(self, now: float) -> float:
        """Seconds to the next edit: the gaps grow with the answer, by the same factor each time."""
        edits = MAX_EDITS - KEPT_EDITS - self.edits
        if edits <= 0:
            return NEVER_S
        age_s = now - self._begun_at
        if age_s < FLUENT_S or self._budget.is_eager(now):
            return FLUENT_S
        lasts_s = max(LONG_ANSWER_S, 2 * age_s)
        return max(FLUENT_S, age_s * (math.pow(lasts_s / age_s, 1 / edits) - 1))


class ReplyPermit:
    """Fills `Allowance` for the events of one kind of one reply."""

    def __init__(self, budget: SendRateLimiter, share: ReplyQuota, kind: Kind) -> None:
        self._budget = budget
        self._share = share
        self._kind = kind
        self._final = False

    def wait_s(self, now: float, *, final: bool = False) -> float:
        """Seconds until such an event may go; asked right before it does, so that it counts as what it is."""
        self._final = final
        return self._budget.wait_s(self._share, "final" if final else self._kind, now)

    def enqueue(self, who: object) -> bool:
        """Stand in line; `who` is the reply's own showing."""
        return self._budget.enqueue(self._share, self._kind)

    def leave_queue(self, who: object) -> None:
        """Stand in line no longer."""
        self._budget.leave(self._share)

    def record_sent(self, now: float) -> None:
        """The event goes out now."""
        self._share.sent("final" if self._final else self._kind, now, edits=self._kind == "edit")


def _now() -> float:
    return asyncio.get_running_loop().time()

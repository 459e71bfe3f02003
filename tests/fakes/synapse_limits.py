"""Synapse's limit for the events of an account, and answers that are written under it, in simulated time."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from adapters.delivery.errors import RateLimited
from adapters.matrix.outgoing.rate_limiter import ReplyQuota, SendRateLimiter

PAUSE_S = 0.5
"""Synapse lets a request that it refuses wait so long (`Ratelimiter.ratelimit`)."""

TICK_S = 0.05


class SynapseLimit:
    """`Ratelimiter.can_do_action` for one account; `burst` None: lifted. While `refuses`, everything is refused."""

    def __init__(self, burst: int | None = 10, per_s: float = 0.2, used: int = 0) -> None:
        self.burst = burst
        self.per_s = per_s
        self._count, self._since = float(used), 0.0
        self.taken = self.refused = 0
        self.refuses = (0.0, 0.0)

    def take(self, now: float) -> None:
        """An event arrives. Raises RateLimited."""
        if self.refuses[0] <= now < self.refuses[1]:
            self.refused += 1
            raise RateLimited(5.0)
        if self.burst is None:
            self.taken += 1
            return
        performed = self._count - (now - self._since) * self.per_s
        if performed < 0:
            performed, self._count, self._since = 0.0, 0.0, now
        if performed > self.burst - 1:
            self.refused += 1
            allowed_at = self._since + (self._count - self.burst + 1) / self.per_s
            raise RateLimited(int(1000 * (allowed_at - now)) / 1000)
        self._count += 1
        self.taken += 1


@dataclass
class Writer:
    """An answer that begins at `at`, has its first text after `first_after_s` and its last one `lasts_s` after `at`."""

    at: float
    lasts_s: float
    first_after_s: float = 1.0
    shown: list[float] = field(default_factory=list)
    edits: int = 0
    ended_at: float | None = None
    _quota: ReplyQuota | None = None
    _busy_until: float = float("-inf")

    @property
    def first_delay_s(self) -> float:
        """How long the first text waited."""
        return self.shown[0] - self.at - min(self.first_after_s, self.lasts_s)

    @property
    def final_delay_s(self) -> float:
        """How long the final text waited."""
        assert self.ended_at is not None
        return self.ended_at - self.at - self.lasts_s

    @property
    def longest_gap_s(self) -> float:
        """The longest time in which the text stood still."""
        return max((after - before for before, after in zip(self.shown, self.shown[1:], strict=False)), default=0.0)

    def tick(self, now: float, limiter: SendRateLimiter, limit: SynapseLimit) -> None:
        """What happens at this moment."""
        if self.ended_at is not None or now < self.at or now < self._busy_until:
            return
        if self._quota is None:
            self._quota = ReplyQuota(limiter)
            self._quota.open()
        final = now >= self.at + self.lasts_s
        if not final and now < self.at + self.first_after_s:
            return
        permit = self._quota.as_kind("edit" if self.shown else "first")
        if final:
            permit.leave_queue(self)
        if (not final and not permit.enqueue(self)) or permit.wait_s(now, final=final) > 0:
            return
        permit.leave_queue(self)
        permit.record_sent(now)
        self._ask(now, self._quota.track_request(), limit, final)

    def _ask(self, now: float, request: AbstractContextManager[None], limit: SynapseLimit, final: bool) -> None:
        try:
            with request:
                limit.take(now)
        except RateLimited:
            self._busy_until = now + PAUSE_S
            return
        self.edits += bool(self.shown)
        self.shown.append(now)
        if final:
            self.ended_at = now
            assert self._quota is not None
            self._quota.close()


def simulate(limiter: SendRateLimiter, limit: SynapseLimit, writers: list[Writer], start: float = 0.0) -> None:
    """Let them write until all have ended. Raises AssertionError when one never does."""
    for tick in range(round(3600 / TICK_S)):
        now = start + tick * TICK_S
        for writer in writers:
            writer.tick(now, limiter, limit)
        if all(writer.ended_at is not None for writer in writers):
            return
    raise AssertionError("An answer has not ended after an hour.")

"""Rate limits of requests to a platform, learnt from its responses."""

from collections.abc import Callable
from typing import Protocol

# Servers round times, and latency varies.
_MARGIN_S = 0.05
# How long a refusal slows its channel: longer than any answer takes.
_REFUSAL_MEMORY_S = 3600.0


class SendPermit(Protocol):
    """Permission for the next request of one answer. Times are seconds of one clock, given by the caller."""

    def wait_s(self, now: float, *, final: bool = False) -> float:
        """Seconds until the request may go, as far as known now; 0.0 when it may go at once."""
        ...

    def enqueue(self, caller: object) -> bool:
        """Queue for the next request that is not final; whether it is this caller's turn."""
        ...

    def leave_queue(self, caller: object) -> None:
        """Leave the queue."""
        ...

    def record_sent(self, now: float) -> None:
        """The request goes out now."""
        ...


class RateLimit:
    """Fills `SendPermit`: when one rate limit (a channel's edits, a room's events) lets the next text through.

    Until the platform has sent its limits, texts are `assumed_s` apart. Then they are spread over its window, with one
    reserved for the last text.
    """

    def __init__(self, assumed_s: float = 1.0, floor_s: float = 0.5) -> None:
        self._assumed_s = assumed_s
        self._floor_s = floor_s
        self._refusal_spacing_s = 0.0
        self._refused_at = float("-inf")
        self._sent_at = float("-inf")
        self._remaining: int | None = None
        self._resets_at = float("-inf")
        self._next_at = self._final_at = float("-inf")
        self._queue: list[object] = []

    def enqueue(self, caller: object) -> bool:
        """Queue for the next text, or stay queued; whether it is this caller's turn."""
        if caller not in self._queue:
            self._queue.append(caller)
        return self._queue[0] is caller

    def leave_queue(self, caller: object) -> None:
        """Leave the queue."""
        if caller in self._queue:
            self._queue.remove(caller)

    def wait_s(self, now: float, *, final: bool = False) -> float:
        """Seconds until the next text may go; 0.0 when it may go now. The final text may use the reserve."""
        return max(0.0, (self._final_at if final else self._next_at) - now)

    def record_sent(self, now: float) -> None:
        """A request goes out now; call it just before sending, so that other answers under this limit see it."""
        self._sent_at = now
        self._next_at = now + self._spacing(now)
        self._final_at = now + self._spacing_after_refusal(now)
        if self._remaining is not None and now < self._resets_at:
            self._remaining -= 1
            if self._remaining <= 0:
                self._next_at = self._final_at = self._resets_at

    def update_window(self, now: float, limit: int, remaining: int, reset_after_s: float) -> None:
        """The headers of a response: `remaining` of `limit` requests are left until `reset_after_s` from now."""
        resets_at = now + reset_after_s
        if self._remaining is not None and resets_at <= self._resets_at + _MARGIN_S:
            remaining = min(remaining, self._remaining)  # the same window: a response may come late
        self._remaining, self._resets_at = remaining, resets_at
        reserve = 1 if limit > 2 else 0
        free = max(0, remaining - reserve)
        self._next_at = max(now + reset_after_s / (free + 1), self._sent_at + self._min_spacing(now))
        self._final_at = self._sent_at + self._spacing_after_refusal(now) if remaining > 0 else self._resets_at

    def record_refusal(self, now: float, retry_after_s: float) -> None:
        """The last request was refused (429). The spacing in force plus the wait is a spacing that a window of any
        length allows, if texts were sent evenly.
        """
        wait_s = retry_after_s + _MARGIN_S
        self._refusal_spacing_s = self._spacing(now) + wait_s
        self._refused_at = now
        self._next_at = self._final_at = now + wait_s

    def is_idle(self, now: float) -> bool:
        """Whether it has nothing left that a new rate limit does not have."""
        return not self._queue and now > max(
            self._sent_at, self._resets_at, self._next_at, self._refused_at + _REFUSAL_MEMORY_S
        )

    def _spacing(self, now: float) -> float:
        return max(self._assumed_s, self._min_spacing(now))

    def _min_spacing(self, now: float) -> float:
        return max(self._floor_s, self._spacing_after_refusal(now))

    def _spacing_after_refusal(self, now: float) -> float:
        """The spacing that a recent refusal taught, for final texts too; 0.0 without one."""
        return self._refusal_spacing_s if now < self._refused_at + _REFUSAL_MEMORY_S else 0.0


class GlobalRateLimit:
    """The limit of all channels together: requests queue for slots, final ones a little ahead."""

    def __init__(self, per_s: float, ahead_s: float = 0.2) -> None:
        """At most `per_s` * (1 + `ahead_s`) requests go out in any second."""
        self._spacing_s = 1 / per_s
        self._ahead_s = ahead_s
        self._free_at = float("-inf")

    def reserve_request(self, now: float, *, final: bool = False) -> float:
        """Take the next slot. Seconds until it."""
        free = max(self._free_at, now)
        self._free_at = free + self._spacing_s
        return max(0.0, free - now - (self._ahead_s if final else 0.0))


class RateLimits:
    """The rate limits of one platform, by a key of the adapter; idle ones are dropped."""

    def __init__(self, make_limit: Callable[[], RateLimit] = RateLimit, max_limits: int = 1000) -> None:
        """From `max_limits` on, idle ones are dropped."""
        self._make_limit = make_limit
        self._max_limits = max_limits
        self._limits: dict[str, RateLimit] = {}

    def __len__(self) -> int:
        return len(self._limits)

    def limit_for(self, key: str, now: float) -> RateLimit:
        """The rate limit of a key."""
        if key not in self._limits:
            if len(self._limits) >= self._max_limits:
                self._limits = {name: limit for name, limit in self._limits.items() if not limit.is_idle(now)}
            self._limits[key] = self._make_limit()
        return self._limits[key]

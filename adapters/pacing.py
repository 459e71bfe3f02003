"""How often a platform may be written to: learnt from what it says about its limits, never from a clock for all."""

from collections.abc import Callable

# Behind a refusal: servers round the time they tell down.
_MARGIN_S = 0.05
# A refusal slows its channel for this long; after it the platform's own words count again.
_REFUSAL_FORGOTTEN_S = 600.0
# Paces kept before idle ones are looked for.
_KEPT = 1000


class Pace:
    """When one rate limit (a channel's edits, a room's events) lets the next text through.

    Times are seconds of one monotonic clock, given by the caller. Until the platform has said anything, texts are
    `assumed_s` apart. What it says of its window spreads the texts over it, one kept in reserve for the last text.
    """

    def __init__(self, assumed_s: float = 1.0, floor_s: float = 0.5) -> None:
        self._assumed_s = assumed_s
        self._floor_s = floor_s
        self._refused_s = 0.0
        self._refused_at = float("-inf")
        self._before = self._sent = float("-inf")
        self._remaining: int | None = None
        self._resets_at = float("-inf")
        self._next = self._last = float("-inf")

    def wait_s(self, now: float, *, final: bool = False) -> float:
        """Seconds until the next text may go; 0.0 when it may go now. The final text may use the reserve."""
        return max(0.0, (self._last if final else self._next) - now)

    def sent(self, now: float) -> None:
        """A request goes out now; call it just before sending, so that others who share this pace see it."""
        self._before, self._sent = self._sent, now
        self._next = now + self._spacing(now)
        if self._remaining is not None and now < self._resets_at:
            self._remaining -= 1
            if self._remaining <= 0:
                self._next = self._last = self._resets_at

    def learn(self, now: float, limit: int, remaining: int, reset_after_s: float) -> None:
        """What an answer's headers say: `remaining` of `limit` requests are left until `reset_after_s` from now."""
        self._remaining = remaining
        self._resets_at = now + reset_after_s
        reserve = 1 if limit > 2 else 0
        free = max(0, remaining - reserve)
        self._next = max(now + reset_after_s / (free + 1), self._sent + self._slowest(now))
        self._last = now if remaining > 0 else self._resets_at

    def refused(self, now: float, retry_after_s: float) -> None:
        """The last request was refused (429). The spacing in force plus the wait is a spacing that a window of any
        length allows, when texts came at an even pace.
        """
        gap = self._sent - self._before if self._before > float("-inf") else 0.0
        self._refused_s = max(self._spacing(now), min(gap, self._assumed_s)) + retry_after_s
        self._refused_at = now
        self._next = self._last = now + retry_after_s + _MARGIN_S

    def idle(self, now: float) -> bool:
        """Whether nothing is known any more that a new pace would not know."""
        return now > max(self._sent, self._resets_at, self._next, self._refused_at + _REFUSAL_FORGOTTEN_S)

    def _spacing(self, now: float) -> float:
        return max(self._assumed_s, self._slowest(now))

    def _slowest(self, now: float) -> float:
        recent = now < self._refused_at + _REFUSAL_FORGOTTEN_S
        return max(self._floor_s, self._refused_s if recent else 0.0)


class Overall:
    """What a platform allows all channels together: requests stand in line for slots, final ones a little ahead."""

    def __init__(self, per_s: float, ahead_s: float = 0.2) -> None:
        """At most `per_s` * (1 + `ahead_s`) requests go out in any second."""
        self._every_s = 1 / per_s
        self._ahead_s = ahead_s
        self._free_at = float("-inf")

    def claim(self, now: float, *, final: bool = False) -> float:
        """Take the next slot. Seconds until it."""
        free = max(self._free_at, now)
        self._free_at = free + self._every_s
        return max(0.0, free - now - (self._ahead_s if final else 0.0))


class Paces:
    """The paces of all limits of one platform, by a key that the adapter chooses; idle ones are forgotten."""

    def __init__(self, fresh: Callable[[], Pace] = Pace) -> None:
        self._fresh = fresh
        self._paces: dict[str, Pace] = {}

    def of(self, key: str, now: float) -> Pace:
        """The pace of a limit, a fresh one when it is new."""
        if key not in self._paces:
            if len(self._paces) >= _KEPT:
                self._paces = {key: pace for key, pace in self._paces.items() if not pace.idle(now)}
            self._paces[key] = self._fresh()
        return self._paces[key]

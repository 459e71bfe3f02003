"""Rate limits: buckets per route and place, the global limit, and the headers that tell of them (rate-limits.mdx)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from tests.fakes.discord_server.clock import Clock

MESSAGES = "/channels/{channel_id}/messages"
MESSAGE = "/channels/{channel_id}/messages/{message_id}"

# Discord publishes only the global figure; these are what bots have long been observing.
GLOBAL_A_SECOND = 50
OBSERVED = {("POST", MESSAGES): (5, 5.0), ("PATCH", MESSAGE): (5, 5.0), ("DELETE", MESSAGE): (5, 1.0)}
ELSEWHERE = 50, 1.0


@dataclass
class Window:
    """What is left of a bucket until it resets."""

    limit: int
    per_s: float
    ends: float = 0.0
    left: int = 0

    def take(self, now: float) -> bool:
        """Take one; False when nothing is left."""
        if now >= self.ends:
            self.ends, self.left = now + self.per_s, self.limit
        if self.left == 0:
            return False
        self.left -= 1
        return True


@dataclass(frozen=True)
class Verdict:
    """What the limits say of a request: the headers, and how long to wait if it is refused."""

    headers: dict[str, str]
    wait_s: float = 0.0
    everywhere: bool = False

    @property
    def refused(self) -> bool:
        return self.wait_s > 0

    def body(self) -> dict[str, object]:
        """The JSON of a 429."""
        told = {"message": "You are being rate limited.", "retry_after": self.wait_s}
        return {**told, "global": self.everywhere, "code": 0}


def refusal(wait_s: float, *, scope: str = "user") -> Verdict:
    """A 429 that no bucket foresaw: an injected one, a sub-limit, the global limit."""
    everywhere = scope == "global"
    headers = {"Retry-After": str(math.ceil(wait_s)), "X-RateLimit-Scope": scope}
    if everywhere:
        headers["X-RateLimit-Global"] = "true"
    return Verdict(headers, wait_s, everywhere)


class Limits:
    """The limits in force. `set` changes a route's; `lift` ends them all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rules = dict(OBSERVED)
        self._windows: dict[tuple[str, str, str], Window] = {}
        self._global = Window(GLOBAL_A_SECOND, 1.0)
        self._lifted = False

    def set(self, method: str, path: str, *, limit: int, per_s: float) -> None:
        """Allow `limit` requests each `per_s` seconds to a route (a path template), per channel, guild or webhook."""
        self._rules[method, path] = limit, per_s
        self._windows = {key: one for key, one in self._windows.items() if key[:2] != (method, path)}

    def set_global(self, limit: int, per_s: float = 1.0) -> None:
        """Allow `limit` requests each `per_s` seconds in all."""
        self._global = Window(limit, per_s)

    def lift(self) -> None:
        """No limits from now on, and no headers."""
        self._lifted = True

    def judge(self, method: str, path: str, major: str) -> Verdict:
        """Count a request. `major`: the id of the channel, guild or webhook it concerns."""
        # interactions/receiving-and-responding.mdx: the global limit leaves interactions out.
        if self._lifted or path.startswith("/interactions/"):
            return Verdict({})
        now = self._clock.now()
        if not path.startswith("/webhooks/") and not self._global.take(now):
            return refusal(self._global.ends - now, scope="global")
        window = self._windows.setdefault((method, path, major), Window(*self._rules.get((method, path), ELSEWHERE)))
        taken = window.take(now)
        headers = {
            "X-RateLimit-Limit": str(window.limit),
            "X-RateLimit-Remaining": str(window.left),
            "X-RateLimit-Reset": f"{window.ends:.3f}",
            "X-RateLimit-Reset-After": f"{window.ends - now:.3f}",
            "X-RateLimit-Bucket": hashlib.sha256(f"{method} {path}".encode()).hexdigest()[:20],
        }
        if taken:
            return Verdict(headers)
        wait_s = round(max(window.ends - now, 0.001), 3)
        return Verdict({**headers, "X-RateLimit-Scope": "user", "Retry-After": str(math.ceil(wait_s))}, wait_s)

"""Time and ids as Discord gives them: a clock that tests can move on, and snowflakes made from it."""

import time
from datetime import UTC, datetime

# Discord's first second, in ms since the epoch (reference.mdx, "Snowflakes").
EPOCH_MS = 1_420_070_400_000


class Clock:
    """The real time, plus what a test has moved it on."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._ahead_s

    def advance(self, seconds: float) -> None:
        """Move on: tokens age, windows of rate limits end, faults with a duration pass."""
        self._ahead_s += seconds


class Snowflakes:
    """Ids that grow with time and are never given twice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0

    def take(self, at: float | None = None) -> int:
        """An id for the moment `at` (seconds since the epoch, by default now)."""
        self._count += 1
        moment_ms = int((self._clock.now() if at is None else at) * 1000) - EPOCH_MS
        return (moment_ms << 22) + self._count % (1 << 22)


def iso(at: float) -> str:
    """A moment as the API writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat()

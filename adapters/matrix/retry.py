"""Retries with exponential backoff for requests to a homeserver."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from adapters.delivery.errors import RateLimited, TransientFailure
from adapters.storage.bounded_dict import put_bounded

FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0
MAX_TRIES = 20
"""With pauses of up to half a minute: a server may be away for some minutes."""

Value = TypeVar("Value")


def backoff_s(failures: int, error: Exception | None = None) -> float:
    """Seconds to wait after so many failures in a row (1 or more): doubled each time up to `MAX_PAUSE_S`, with jitter
    of up to half of it, so that clients do not return all at once. A longer wait demanded by the homeserver wins.
    """
    doubled = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10))
    paused = doubled * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
    return max(paused, error.retry_after_s) if isinstance(error, RateLimited) else paused


async def retry(request: Callable[[], Awaitable[Value]], tries: int | None = MAX_TRIES) -> Value:
    """Repeat a request until it succeeds. Raises TransientFailure after `tries` failures; None: no limit."""
    for failures in count(1):
        try:
            return await request()
        except TransientFailure as error:
            if tries is not None and failures >= tries:
                raise
            await asyncio.sleep(backoff_s(failures, error))
    raise AssertionError  # counting never ends


@dataclass(frozen=True, slots=True)
class _Failures:
    count: int
    failed_at: float
    retry_at: float


class RetryDelays:
    """Growing pauses before each of many targets is tried again: from about `first_s`, doubled up to `max_s`.

    Only a known outcome is to be noted here: a request that failed on its way says nothing about its targets.
    """

    def __init__(
        self, first_s: float, max_s: float, *, limit: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`limit`: targets remembered; beyond it the oldest is forgotten, and thus due."""
        self._first_s = first_s
        self._max_s = max_s
        self._limit = limit
        self._clock = clock
        self._failures: dict[Hashable, _Failures] = {}

    def is_due(self, target: Hashable) -> bool:
        """Whether a target may be tried now."""
        failures = self._failures.get(target)
        return failures is None or failures.retry_at <= self._clock()

    def note_failure(self, target: Hashable) -> None:
        """Note that a target gave nothing; the next pause is twice as long."""
        earlier = self._failures.get(target)
        self._put(target, 1 if earlier is None else earlier.count + 1, self._clock())

    def hasten(self, target: Hashable) -> None:
        """Shorten the pause of a target to the first one, as its situation has changed."""
        failures = self._failures.get(target)
        if failures is not None and failures.count > 1:
            self._put(target, 1, failures.failed_at)

    def clear(self, target: Hashable) -> None:
        """Forget the failures of a target."""
        self._failures.pop(target, None)

    def _put(self, target: Hashable, failed: int, at: float) -> None:
        pause_s = min(self._max_s, self._first_s * 2.0 ** min(failed - 1, 20)) * random.uniform(0.75, 1.25)  # noqa: S311
        put_bounded(self._failures, target, _Failures(failed, at, at + pause_s), self._limit)

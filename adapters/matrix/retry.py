"""Retries with exponential backoff for requests to a homeserver."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from adapters.delivery.errors import RateLimited, TransientFailure

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

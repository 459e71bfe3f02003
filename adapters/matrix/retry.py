"""How long to wait before a homeserver is asked again, and asking again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from adapters.delivery.errors import RateLimited, TransientFailure

FIRST_S = 1.0
LONGEST_S = 30.0
MAX_TRIES = 20
"""With pauses of up to half a minute: a server may be away for some minutes."""

Value = TypeVar("Value")


def backoff_s(failures: int, error: Exception | None = None) -> float:
    """Seconds to wait after so many failures in a row (1 or more): doubled each time up to `LONGEST_S`, and up to
    half of it left to chance, so that many do not come back at once. What the homeserver asks for counts, where it is
    longer.
    """
    doubled = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 10))
    paused = doubled * random.uniform(0.5, 1.0)  # noqa: S311 - spread, nothing secret
    return max(paused, error.retry_after_s) if isinstance(error, RateLimited) else paused


async def retry(request: Callable[[], Awaitable[Value]], tries: int | None = MAX_TRIES) -> Value:
    """Ask until there is an answer. Raises Unsettled when so many tries had none; None: never."""
    for failures in count(1):
        try:
            return await request()
        except TransientFailure as error:
            if tries is not None and failures >= tries:
                raise
            await asyncio.sleep(backoff_s(failures, error))
    raise AssertionError  # counting never ends

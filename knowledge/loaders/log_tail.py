"""Logs that are too long: the part at their end that is read, on which people ask questions."""

import re

_LOG = re.compile(r"(\.log(\.\d+)?|(^|/)(sys|kern|auth|daemon|mail)log)$", re.IGNORECASE)
_STEPS = 4
"""The part begins at a multiple of a quarter of the limit, so that most of a growing log's passages stay the same."""


def is_log(document: str) -> bool:
    """Whether a file is a log by its name, and so may be read from the end."""
    return _LOG.search(document) is not None


def tail_start(size: int, limit: int) -> int:
    """The position at which the part to read begins: at most `limit` and at least three quarters of it are left.

    0 for a log within the limit. It is a multiple of 4, and so between the characters of UTF-16 and UTF-32.
    """
    if size <= limit:
        return 0
    step = max(4, limit // _STEPS // 4 * 4)
    return -(-(size - limit) // step) * step

"""Errors of the core's port.

Exception
 +-- ReplyFailed    the platform will not take the reply (raised by adapters, from the library's error)
"""

from dataclasses import dataclass


@dataclass(eq=False)
class ReplyFailed(Exception):
    """The platform refuses the reply for good: deleted channel, missing permission. `reason` is for the log."""

    reason: str

    def __str__(self) -> str:
        return self.reason

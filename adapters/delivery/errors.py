"""Errors of requests that a platform may still take later."""

from dataclasses import dataclass


class TransientFailure(Exception):
    """The platform did not take a request this time (5xx, a lost connection, a rate limit); it may take it later."""


@dataclass(eq=False)
class RateLimited(TransientFailure):
    """The platform refused a request because of a rate limit (429), and says when to send it again."""

    retry_after_s: float

    def __str__(self) -> str:
        return f"the server asks to wait {self.retry_after_s:.1f} s"

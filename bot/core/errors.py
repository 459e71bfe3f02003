"""Errors of the core's port, and the mark of errors whose text is a sentence for people.

Exception
 +-- ReplyFailed        the platform will not take the reply (raised by adapters, from the library's error)
      +-- ReaderGone    the only reader has left, so that nothing more can be said to anybody
"""

from dataclasses import dataclass


@dataclass(eq=False)
class ReplyFailed(Exception):
    """The platform refuses the reply for good: deleted channel, missing permission. `reason` is for the log."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


class ReaderGone(ReplyFailed):
    """The one client that could read the reply has left, or reads no more."""


def is_user_facing(error: BaseException) -> bool:
    """Whether `str(error)` says in a sentence what is wrong; any other error is a bug and needs its traceback.

    A class marks itself with `user_facing = True`. The marker is an attribute and not a base class, because `knowledge`
    and `models` import nothing from here (docs/decisions/0012-user-facing-errors.md).
    """
    return getattr(error, "user_facing", False) is True

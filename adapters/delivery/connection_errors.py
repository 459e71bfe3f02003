"""Reasons for a connection that failed, in words for people instead of the names of Python's classes."""

import errno
import socket
import ssl
from collections.abc import Mapping

_ERRNO_REASONS: Mapping[int, str] = {
    errno.ECONNREFUSED: "nothing listens there",
    errno.EHOSTUNREACH: "no way leads there",
    errno.ENETUNREACH: "this machine has no network that leads there",
    errno.ETIMEDOUT: "it does not answer",
}


def connection_reason(error: BaseException, timeout_s: float | None = None) -> str:
    """Why a connection failed, to stand after a colon. `timeout_s`: the time that was waited.

    Knows the errors of the standard library, also where a client library keeps one in `os_error` or as the cause.
    """
    for each in _chain(error):
        if reason := _reason(each, timeout_s):
            return reason
    return "the connection broke off"


def _chain(error: BaseException) -> list[BaseException]:
    """The error, and those that it stands for, the innermost first."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        inner = getattr(current, "os_error", None)
        current = inner if isinstance(inner, BaseException) else current.__cause__
    return found[::-1]


def _reason(error: BaseException, timeout_s: float | None) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message.rstrip('.')})"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS: is its address one with http:// instead of https://?"
    if isinstance(error, TimeoutError):
        return f"it did not answer within {timeout_s:g} s" if timeout_s else "it did not answer in time"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return "it closed the connection"
    return _ERRNO_REASONS.get(error.errno or 0, "") if isinstance(error, OSError) else ""

"""Standard streams as they may be: closed, full, read by nobody, or in an encoding with few characters."""

import os
import sys
from contextlib import suppress
from typing import Literal, TextIO


def prepare_streams() -> None:
    """Make output possible whatever it leads to: characters that its encoding lacks are replaced, and a stream that was
    closed leads nowhere.
    """
    if sys.stdin is None:  # first, as each takes the lowest number that is free
        sys.stdin = _open_nowhere("r")
    if sys.stdout is None:
        sys.stdout = _open_nowhere("w")
    if sys.stderr is None:
        sys.stderr = _open_nowhere("w")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def close_output() -> str:
    """Write what is still buffered, which the interpreter would otherwise do too late for a sentence; the reason why it
    failed, else an empty text.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        # What is left in the buffer must not be tried again at exit.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return getattr(error, "strerror", None) or "it is closed"
    return ""


def _open_nowhere(mode: Literal["r", "w"]) -> TextIO:
    return open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123 - stays open as long as the program

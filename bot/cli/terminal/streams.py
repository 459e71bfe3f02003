"""Standard streams: closed ones are replaced, and output that cannot be written ends the program with a sentence."""

import errno
import io
import os
import sys
from contextlib import suppress

from bot.cli.terminal.output import print_errors

EXIT_UNWRITABLE = 1
_STREAMS = (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w"))


class WatchedOutput(io.TextIOWrapper):
    """Standard output that remembers why something could not be written: libraries drop what they failed to write."""

    failure: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write a text."""
        try:
            return super().write(text)
        except OSError as error:
            self.failure = self.failure or error
            raise

    def flush(self) -> None:
        """Write what is in the buffer."""
        try:
            super().flush()
        except OSError as error:
            self.failure = self.failure or error
            raise


def prepare_streams() -> None:
    """Open the null device in place of closed streams, and let every character be written in some form.

    Otherwise the next file that is opened, perhaps a database, would take the number of the closed stream, and what
    a library prints would go into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name, number, mode in _STREAMS:
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not is_utf8(stream):
            stream.reconfigure(errors="replace")
    if isinstance(sys.stdout, io.TextIOWrapper):
        plain = sys.stdout
        encoding, errors, is_line_buffered = plain.encoding, plain.errors, plain.line_buffering
        sys.stdout = WatchedOutput(plain.detach(), encoding, errors, line_buffering=is_line_buffered)


def is_utf8(stream: io.TextIOBase) -> bool:
    """Whether every character can be written to a stream as it is."""
    return (stream.encoding or "").casefold().replace("-", "") == "utf8"


def exit_if_unwritable() -> None:
    """Exit with a sentence when standard output did not take what was printed; silently when its reader has left."""
    if not isinstance(sys.stdout, WatchedOutput) or sys.stdout.closed:
        return
    with suppress(OSError):
        sys.stdout.flush()
    if (failure := sys.stdout.failure) is None:
        return
    # What is left in the buffer must not fail again at the interpreter's end.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
    sys.stdout.failure = None
    if failure.errno != errno.EPIPE:
        print_errors(f"Standard output cannot be written: {failure.strerror or failure}.")
    sys.exit(EXIT_UNWRITABLE)

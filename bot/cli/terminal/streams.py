"""Standard streams: closed ones are replaced, and output that cannot be written ends the program with a sentence."""

import errno
import os
import sys

from bot.cli.terminal.output import print_errors

EXIT_UNWRITABLE = 1
_STREAMS = (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w"))


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
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.encoding.casefold().replace("-", "") != "utf8":
            reconfigure(errors="replace")


def exit_if_unwritable() -> None:
    """Exit with a sentence when standard output does not take what was printed; silently when its reader has left."""
    try:
        sys.stdout.flush()
        return
    except ValueError:  # closed by the program itself
        return
    except OSError as error:
        reason = error
    # What is left in the buffer must not fail again at the interpreter's end.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
    if reason.errno != errno.EPIPE:
        print_errors(f"Standard output cannot be written: {reason.strerror or reason}.")
    sys.exit(EXIT_UNWRITABLE)

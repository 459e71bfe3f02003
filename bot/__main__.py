"""The `hearth` program."""

import errno
import os
import sys
from contextlib import suppress

# No telemetry: the hub's library would send a description of the machine along, and onnxruntime
# 1.31 reports to its makers. They read this once, when they are first imported, perhaps by another library.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from bot.cli.main import hearth
from bot.cli.terminal.stdio import close_output, prepare_streams

EXIT_FAILED = 1
WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Errors of a full disk and of a terminal that is gone: they are no bugs, wherever they come up."""


def main() -> None:
    """Run the program with the arguments of the command line."""
    prepare_streams()
    code: str | int | None = EXIT_FAILED
    reason = ""
    try:
        hearth(prog_name="hearth")
    except SystemExit as ending:
        code = ending.code
    except OSError as error:
        if error.errno not in WRITE_ERRORS:
            raise
        reason = error.strerror or str(error)
    if reason := close_output() or reason:
        code = code or EXIT_FAILED
        with suppress(OSError):
            sys.stderr.write(f"Could not write: {reason}.\n")
    sys.exit(code)


if __name__ == "__main__":
    main()

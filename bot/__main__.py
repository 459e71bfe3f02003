"""The `hearth` program."""

import os
import sys
from contextlib import suppress

# No telemetry: the hub's library would send a description of the machine along, and onnxruntime
# 1.31 reports to its makers. They read this once, when they are first imported, perhaps by another library.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from bot.cli.main import hearth
from bot.cli.terminal.stdio import close_output, prepare_streams

EXIT_OUTPUT_LOST = 1


def main() -> None:
    """Run the program with the arguments of the command line."""
    prepare_streams()
    code: str | int | None = EXIT_OUTPUT_LOST
    failure: OSError | None = None
    try:
        hearth(prog_name="hearth")
    except SystemExit as ending:
        code = ending.code
    except OSError as error:
        failure = error
    reason = close_output()
    if failure is not None and not reason:
        raise failure
    if reason:
        with suppress(OSError):
            sys.stderr.write(f"The output could not be written: {reason}.\n")
    sys.exit(code or EXIT_OUTPUT_LOST if reason else code)


if __name__ == "__main__":
    main()

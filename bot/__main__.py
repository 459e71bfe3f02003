"""The `hearth` program."""

import os
import sys

# No telemetry: the hub's library would send a description of the machine along, and onnxruntime
# 1.31 reports to its makers. They read this once, when they are first imported, perhaps by another library.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from bot.cli.main import hearth
from bot.cli.terminal.output import close_output, is_output_error, prepare_output, print_errors

EXIT_OUTPUT_LOST = 1


def main() -> None:
    """Run the program with the arguments of the command line."""
    prepare_output()
    code: object = EXIT_OUTPUT_LOST
    lost = ""
    try:
        hearth(prog_name="hearth")
    except SystemExit as ending:
        code = ending.code
    except OSError as error:
        if not is_output_error(error):
            raise
        lost = error.strerror
    if reason := close_output() or lost:
        print_errors(f"The output could not be written: {reason}.")
        code = code or EXIT_OUTPUT_LOST
    sys.exit(code)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()

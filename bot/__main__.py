"""The `hearth` program."""

import os

# No telemetry: the hub's library would send a description of the machine along, and onnxruntime
# 1.31 reports to its makers. They read this once, when they are first imported, perhaps by another library.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from bot.allocator import return_large_blocks
from bot.cli.main import hearth
from bot.cli.terminal.streams import exit_if_unwritable, prepare_streams


def main() -> None:
    """Run the program with the arguments of the command line."""
    return_large_blocks()
    prepare_streams()
    try:
        hearth(prog_name="hearth")
    finally:
        exit_if_unwritable()


if __name__ == "__main__":
    main()

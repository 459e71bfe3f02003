"""The `hearth` program."""

import os

# Nothing leaves the house unasked: the hub's library otherwise sends its user's environment along, and looks up a list of
# tools to name in it. It reads this once, when it is first imported, perhaps by another library.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from bot.cli.main import hearth  # noqa: E402 - the line above comes first


def main() -> None:
    """Run the program with the arguments of the command line."""
    hearth(prog_name="hearth")


if __name__ == "__main__":
    main()

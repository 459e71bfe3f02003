"""The `hearth` program."""

from bot.cli.main import hearth


def main() -> None:
    """Run the program with the arguments of the command line."""
    hearth(prog_name="hearth")


if __name__ == "__main__":
    main()

"""The program's command line: which commands there are; each is imported when it is called."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import click


class CommandEntry(NamedTuple):
    """Where a command is, and what it does in half a sentence."""

    module: str
    name: str
    summary: str


COMMANDS: Mapping[str, CommandEntry] = {
    "run": CommandEntry("bot.cli.run", "run", "Answer on all platforms until stopped."),
    "chat": CommandEntry("bot.cli.chat", "chat", "Talk in this terminal, or by JSON lines with --jsonl."),
    "ask": CommandEntry("bot.cli.ask", "ask", "Ask one question, print the answer and its sources."),
    "index": CommandEntry("bot.cli.index", "index", "Bring the documents' index up to date."),
    "search": CommandEntry("bot.cli.search", "search", "Find passages without asking the model."),
    "models": CommandEntry("bot.cli.models", "models", "List and fetch the models of the config."),
    "config": CommandEntry("bot.cli.config", "config", "Check the config file."),
    "doctor": CommandEntry("bot.cli.doctor", "doctor", "Check that everything needed is there and fits."),
    "matrix": CommandEntry("bot.cli.matrix", "matrix", "Log in to Matrix once, and see how the account stands."),
    "demo": CommandEntry("bot.cli.demo", "demo", "Try Hearth on the handbook of an invented home."),
}


class LazyGroup(click.Group):
    """A group that imports a command only when it is called, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in --help, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


def _version() -> str:
    try:
        return version("hearth")
    except PackageNotFoundError:
        return "unknown"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="hearth")
def hearth() -> None:
    """The assistant of your home server: answers from your own documents, on your own hardware."""

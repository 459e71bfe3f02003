"""The program's command line: its own commands and those of the platforms; each is imported when it is called."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import click

from bot.cli.suggestions import SuggestingGroup


class CommandEntry(NamedTuple):
    """Location of a command, and its half-sentence summary."""

    module: str
    name: str
    summary: str


COMMANDS: Mapping[str, CommandEntry] = {
    "init": CommandEntry("bot.cli.commands.init", "init", "Write a first config for a folder of documents."),
    "run": CommandEntry("bot.cli.commands.run", "run", "Answer on all platforms until stopped."),
    "chat": CommandEntry("bot.cli.commands.chat", "chat", "Talk in this terminal, or by JSON lines with --jsonl."),
    "ask": CommandEntry("bot.cli.commands.ask", "ask", "Ask one question, print the answer and its sources."),
    "index": CommandEntry("bot.cli.commands.index", "index", "Bring the documents' index up to date."),
    "search": CommandEntry("bot.cli.commands.search", "search", "Find passages without asking the model."),
    "eval": CommandEntry("bot.cli.commands.evaluate", "evaluate", "Measure search on judged sets."),
    "documents": CommandEntry("bot.cli.commands.documents", "documents", "List what is indexed, and what is not."),
    "status": CommandEntry("bot.cli.commands.status", "status", "Show whether Hearth runs, and what is indexed."),
    "models": CommandEntry("bot.cli.commands.models", "models", "List and fetch the models of the config."),
    "config": CommandEntry("bot.cli.commands.config", "config", "Check or show the config."),
    "doctor": CommandEntry("bot.cli.commands.doctor", "doctor", "Check that everything needed is there and fits."),
    "demo": CommandEntry("bot.cli.commands.demo", "demo", "Try Hearth on the handbook of an invented home."),
}


class LazyGroup(SuggestingGroup):
    """A group that imports a command only when it is called, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of Hearth's own commands, then those of the platforms."""
        return [*COMMANDS, *(name for name, _ in _platform_summaries())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return _platform_group(cmd_name)
        command = getattr(import_module(entry.module), entry.name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in --help, without importing any."""
        own = [(name, entry.summary) for name, entry in COMMANDS.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *_platform_summaries()])


def _platform_summaries() -> list[tuple[str, str]]:
    # Imported only where it is used: Hearth's own commands start sooner without the registry.
    from bot.platforms import load_platforms

    return [(each.name, each.commands.summary) for each in load_platforms().platforms if each.commands]


def _platform_group(name: str) -> click.Group | None:
    from bot.platforms import load_platforms

    for platform in load_platforms().platforms:
        if platform.name == name and platform.commands:
            from bot.cli.platform_commands import load_commands

            return load_commands(platform, platform.commands)
    return None


def _version() -> str:
    try:
        return version("hearth")
    except PackageNotFoundError:
        return "unknown"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="hearth")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Config file, for any command.")
def hearth(config_file: Path | None) -> None:
    """The assistant of your home server: answers from your own documents, on your own hardware."""

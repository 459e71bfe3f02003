"""Runs the commands that platforms provide: adds `--config`, loads it, and turns results into exit codes."""

import copy
import functools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from adapters.platform import CommandGroup, Platform
from bot.cli import prompts
from bot.cli.runner import config_option, run_and_exit
from bot.cli.terminal.output import make_console, print_errors, print_json, printable
from bot.config.schema import Config
from bot.server.folder_lock import FolderLock

Callback = Callable[..., Coroutine[Any, Any, int]]


class ProgramContext:
    """Fills `CommandContext` with this program's config, terminal and data folder."""

    def __init__(self, config: Config, platform: Platform[Any]) -> None:
        self.settings = config.platform_settings(platform)
        self.data_folder: Path = config.data_folder

    @contextmanager
    def own_data_folder(self) -> Iterator[None]:
        """Own the data folder while the context lasts. Raises FolderInUse, FolderUnusable."""
        lock = FolderLock(self.data_folder)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    async def ask_text(self, question: str, option: str) -> str:
        """Ask for a line. Raises CliError when there is no terminal."""
        return await prompts.ask_text(question, option)

    async def ask_secret(self, question: str, option: str) -> str:
        """Ask for a line that is not shown. Raises CliError when there is no terminal."""
        return await prompts.ask_secret(question, option)

    async def ask_yes_no(self, question: str) -> bool:
        """Ask for a yes or a no; without a terminal the answer is no."""
        return await prompts.ask_yes_no(question)

    def print_text(self, text: str) -> None:
        """Print a text on standard output."""
        make_console().print(printable(text))

    def print_errors(self, *sentences: str) -> None:
        """Print sentences on standard error."""
        print_errors(*sentences)

    def print_json(self, value: Any) -> None:
        """Print one JSON value on a line of standard output."""
        print_json(value)


def load_commands(platform: Platform[Any], commands: CommandGroup) -> click.Group:
    """The command group of a platform, ready to be called."""
    return _prepare_group(commands.load(), platform)


def _prepare_group(group: click.Group, platform: Platform[Any]) -> click.Group:
    prepared = copy.copy(group)
    prepared.commands = {name: _prepare(command, platform) for name, command in group.commands.items()}
    return prepared


def _prepare(command: click.Command, platform: Platform[Any]) -> click.Command:
    if isinstance(command, click.Group):
        return _prepare_group(command, platform)
    assert command.callback is not None
    with_config = click.command()(config_option(_exiting(command.callback, platform)))
    prepared = copy.copy(command)
    prepared.callback = with_config.callback
    prepared.params = [*command.params, *with_config.params]
    return prepared


def _exiting(callback: Callback, platform: Platform[Any]) -> Callable[..., NoReturn]:
    @functools.wraps(callback)
    def run(config: Config, **options: Any) -> NoReturn:
        run_and_exit(callback(ProgramContext(config, platform), **options))

    return run

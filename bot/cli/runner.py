"""Runs a command to its exit code: config faults are 2, expected failures 1 and a sentence, never a traceback."""

import asyncio
import functools
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bot.cli.terminal.output import print_errors

if TYPE_CHECKING:
    from bot.config.schema import Config

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class CliError(Exception):
    """Ends a command with a sentence and exit code 1."""


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config` and, as its argument `config`, the loaded config; faults in it exit with 2."""

    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="Config file; otherwise $HEARTH_CONFIG, ./config.yaml or ~/.config/hearth/config.yaml.",
    )
    @functools.wraps(command)
    def with_config(*args: Any, config_file: Path | None, **kwargs: Any) -> Any:
        return command(*args, config=load_or_exit(config_file), **kwargs)

    return with_config


def load_or_exit(named: Path | None) -> "Config":
    """The config to use; exits with 2 after printing every fault."""
    from bot.config.loading import InvalidConfig, find_config, load_config

    try:
        return load_config(find_config(named, os.environ))
    except InvalidConfig as faulty:
        print_errors(*faulty.fault_lines())
        sys.exit(EXIT_USAGE)


def run_and_exit(main: Coroutine[Any, Any, int | None], log_level: str = "warning") -> NoReturn:
    """Run a command's coroutine and exit with its code. SIGTERM cancels it, and is then no failure."""
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpcore", "huggingface_hub", "fastembed", "markdown_it"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        code = asyncio.run(_cancelled_by_sigterm(main))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except asyncio.CancelledError:
        sys.exit(0)
    except BaseExceptionGroup as group:
        sentences = error_sentences(group)
        if sentences is None:
            raise
        print_errors(*sentences)
        sys.exit(EXIT_FAILED)
    except expected_errors() as error:
        print_errors(str(error))
        sys.exit(EXIT_FAILED)
    sys.exit(code or 0)


def run_until_stopped(main: Coroutine[Any, Any, None], log_level: str) -> NoReturn:
    """As `run_and_exit`, for a command that runs until it is stopped: Ctrl-C is no failure either."""
    try:
        run_and_exit(main, log_level)
    except SystemExit as ending:
        sys.exit(0 if ending.code == EXIT_INTERRUPTED else ending.code)


async def _cancelled_by_sigterm(main: Coroutine[Any, Any, int | None]) -> int | None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await main


@functools.cache
def expected_errors() -> tuple[type[Exception], ...]:
    """The errors that say in a sentence what is wrong and how to mend it."""
    from adapters.discord.failures import DiscordUnusable
    from adapters.matrix.homeserver import MatrixUnusable
    from bot.core.errors import ReplyFailed
    from bot.openai.keys import ApiKeyMissing
    from bot.platforms import PlatformUnusable
    from bot.server.folder_lock import FolderInUse, FolderUnusable
    from bot.server.http import HttpUnavailable
    from knowledge.embedding import EmbeddingFailed
    from knowledge.sqlite import DatabaseDamaged, DatabaseTooNew, DatabaseUnusable
    from models.engine import EngineFailed, ModelUnusable
    from models.weights import WeightsUnavailable

    return (
        DatabaseDamaged,
        DatabaseTooNew,
        DatabaseUnusable,
        DiscordUnusable,
        EmbeddingFailed,
        EngineFailed,
        CliError,
        FolderInUse,
        FolderUnusable,
        HttpUnavailable,
        ApiKeyMissing,
        MatrixUnusable,
        ModelUnusable,
        PlatformUnusable,
        ReplyFailed,
        WeightsUnavailable,
        sqlite3.OperationalError,
    )


def error_sentences(error: BaseException) -> list[str] | None:
    """What an expected error, or a group of them, says; None when there is any other in it."""
    leaves = _leaves(error)
    return [str(leaf) for leaf in leaves] if all(isinstance(leaf, expected_errors()) for leaf in leaves) else None


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]

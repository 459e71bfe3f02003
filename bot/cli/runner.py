"""Runs a command to its exit code: 2 for config faults, 1 and a sentence for user-facing errors."""

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bot.cli.terminal.output import print_errors
from bot.core.errors import is_user_facing
from bot.log_policy import set_up_logging

if TYPE_CHECKING:
    from bot.config.schema import Config

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class CliError(Exception):
    """Ends a command with a sentence and exit code 1."""

    user_facing = True


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
    """Run a command's coroutine and exit with its code. SIGTERM cancels it, which is no success: it is not done."""
    set_up_logging(log_level)
    try:
        code = asyncio.run(_cancelled_by_sigterm(main))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except asyncio.CancelledError:
        sys.exit(EXIT_TERMINATED)
    except Exception as error:
        sentences = error_sentences(error)
        if sentences is None:
            raise
        print_errors(*sentences)
        sys.exit(EXIT_FAILED)
    sys.exit(code or 0)


def run_until_stopped(main: Coroutine[Any, Any, None], log_level: str) -> NoReturn:
    """Like `run_and_exit`, for a command that runs until stopped: SIGTERM and Ctrl-C count as success."""
    try:
        run_and_exit(main, log_level)
    except SystemExit as ending:
        sys.exit(0 if ending.code in (EXIT_INTERRUPTED, EXIT_TERMINATED) else ending.code)


async def _cancelled_by_sigterm(main: Coroutine[Any, Any, int | None]) -> int | None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await main


def error_sentences(error: BaseException) -> list[str] | None:
    """The sentences of a user-facing error, or of a group of them; None when another error is among them."""
    leaves = _leaves(error)
    return [str(leaf) for leaf in leaves] if all(map(is_user_facing, leaves)) else None


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]

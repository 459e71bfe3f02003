"""Runs a command to its exit code: 2 for config faults, 1 and a sentence for user-facing errors."""

import asyncio
import functools
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bot.cli.stop_signals import StopSignals
from bot.cli.terminal.output import print_errors
from bot.cli.terminal.streams import exit_if_unwritable
from bot.core.errors import is_user_facing

if TYPE_CHECKING:
    from bot.config.schema import Config

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SIGNAL = 128
EXIT_INTERRUPTED = EXIT_SIGNAL + signal.SIGINT


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
    """Run a command's coroutine and exit with its code.

    Ctrl-C, SIGTERM and SIGHUP cancel it once; the code is then 128 and the signal's number, as the shell has it.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "httpcore", "huggingface_hub", "fastembed", "markdown_it"):
        logging.getLogger(name).setLevel(logging.WARNING)
    stop_signals = StopSignals()
    try:
        code = asyncio.run(stop_signals.cancel(main))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except asyncio.CancelledError:
        sys.exit(EXIT_SIGNAL + (stop_signals.received or signal.SIGINT))
    except Exception as error:
        exit_if_unwritable()
        sentences = error_sentences(error)
        if sentences is None:
            raise
        print_errors(*sentences)
        sys.exit(EXIT_FAILED)
    exit_if_unwritable()
    sys.exit(code or 0)


def run_until_stopped(main: Coroutine[Any, Any, None], log_level: str) -> NoReturn:
    """Like `run_and_exit`, for a command that runs until stopped: being stopped counts as success."""
    try:
        run_and_exit(main, log_level)
    except SystemExit as ending:
        is_stopped = isinstance(ending.code, int) and ending.code > EXIT_SIGNAL
        sys.exit(0 if is_stopped else ending.code)


def error_sentences(error: BaseException) -> list[str] | None:
    """The sentences of a user-facing error, or of a group of them; None when another error is among them."""
    leaves = _leaves(error)
    return [str(leaf) for leaf in leaves] if all(map(is_user_facing, leaves)) else None


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]

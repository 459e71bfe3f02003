"""`hearth run`: answers on all platforms until stopped."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import NoReturn

import click

from bot.cli.daemon_client import enter_when_free
from bot.cli.runner import config_option, run_until_stopped
from bot.cli.terminal.startup_view import StartupView
from bot.config.schema import Config
from bot.daemon import open_adapters, run_daemon
from bot.platforms import load_platforms

log = logging.getLogger(__name__)


@click.command()
@config_option
def run(config: Config) -> NoReturn:
    """Answer on all platforms, and let the other commands in, until stopped."""
    run_until_stopped(_run(config), config.log_level, load_platforms().packages)


async def _run(config: Config) -> None:
    with StartupView() as view:
        async with open_adapters(config) as adapters, AsyncExitStack() as stack:
            daemon = await enter_when_free(
                stack, lambda: run_daemon(config, adapters=adapters, serve_http=True, on_progress=view)
            )
            view.close()
            log.info("Hearth is ready: %s, data folder %s.", daemon.app.engine.name, config.data_folder)
            if daemon.app.http_port is not None:
                log.info("Health and metrics: http://%s:%d/metrics", config.http.host, daemon.app.http_port)
            await asyncio.Event().wait()

"""`hearth run`: answers on all platforms until stopped."""

import asyncio
import logging
from typing import NoReturn

import click

from bot.cli.running import config_option, run_until_stopped
from bot.cli.starting import StartView
from bot.config import Config
from bot.hosting import hosting

log = logging.getLogger(__name__)


@click.command()
@config_option
def run(config: Config) -> NoReturn:
    """Answer on all platforms, and let the other commands in, until stopped."""
    run_until_stopped(_run(config), config.log_level)


async def _run(config: Config) -> None:
    with StartView() as view:
        async with hosting(config, serve_http=True, report=view) as host:
            view.end()
            log.info("Hearth is ready: %s, data folder %s.", host.app.engine.name, config.data_folder)
            if host.app.http_port is not None:
                log.info("Health and metrics: http://%s:%d/metrics", config.http.host, host.app.http_port)
            await asyncio.Event().wait()

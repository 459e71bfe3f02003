"""`hearth run`: answers on all platforms until stopped."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import click

from bot.cli.running import config_option, run_until_stopped
from bot.cli.starting import StartView
from bot.config import Config
from bot.core.ports import Adapter
from bot.hosting import hosting

log = logging.getLogger(__name__)


@click.command()
@config_option
def run(config: Config) -> NoReturn:
    """Answer on all platforms, and let the other commands in, until stopped."""
    run_until_stopped(_run(config), config.log_level)


async def _run(config: Config) -> None:
    with StartView() as view:
        async with (
            _platforms(config) as adapters,
            hosting(config, adapters=adapters, serve_http=True, report=view) as host,
        ):
            view.end()
            log.info("Hearth is ready: %s, data folder %s.", host.app.engine.name, config.data_folder)
            if host.app.http_port is not None:
                log.info("Health and metrics: http://%s:%d/metrics", config.http.host, host.app.http_port)
            await asyncio.Event().wait()


@asynccontextmanager
async def _platforms(config: Config) -> AsyncIterator[list[Adapter]]:
    """The platforms that the config switches on; they are left after the core, which may still have things to say."""
    if not config.discord.enabled:
        yield []
        return
    # Imported only where it is used: the library of a platform is slow to load.
    from adapters.discord.bot import DiscordAdapter
    from adapters.discord.front import furnishing

    discord = DiscordAdapter(config.discord, config.data_folder, furnishing(config.discord, config.data_folder))
    try:
        yield [discord]
    finally:
        await discord.close()

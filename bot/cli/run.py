"""`hearth run`: answers on all platforms until stopped."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NoReturn

import click

from bot.cli.runner import config_option, run_until_stopped
from bot.cli.startup_view import StartupView
from bot.config.loading import Config
from bot.core.ports import Adapter
from bot.daemon import run_daemon

if TYPE_CHECKING:
    from adapters.discord.adapter import DiscordAdapter
    from adapters.matrix.adapter import MatrixAdapter

log = logging.getLogger(__name__)


@click.command()
@config_option
def run(config: Config) -> NoReturn:
    """Answer on all platforms, and let the other commands in, until stopped."""
    run_until_stopped(_run(config), config.log_level)


async def _run(config: Config) -> None:
    with StartupView() as view:
        async with (
            _platforms(config) as adapters,
            run_daemon(config, adapters=adapters, serve_http=True, report=view) as host,
        ):
            view.close()
            log.info("Hearth is ready: %s, data folder %s.", host.app.engine.name, config.data_folder)
            if host.app.http_port is not None:
                log.info("Health and metrics: http://%s:%d/metrics", config.http.host, host.app.http_port)
            await asyncio.Event().wait()


@asynccontextmanager
async def _platforms(config: Config) -> AsyncIterator[list[Adapter]]:
    """The platforms that the config switches on; they are left after the core, which may still have things to say."""
    async with AsyncExitStack() as stack:
        adapters: list[Adapter] = []
        if config.discord.enabled:
            discord = _discord(config)
            stack.push_async_callback(discord.close)
            adapters.append(discord)
        if config.matrix.enabled:
            matrix = _matrix(config)
            stack.push_async_callback(matrix.close)
            adapters.append(matrix)
        yield adapters


# Imported only where they are used: the libraries of platforms are slow to load.


def _discord(config: Config) -> "DiscordAdapter":
    from adapters.discord.adapter import DiscordAdapter
    from adapters.discord.composition import cog_builder

    return DiscordAdapter(config.discord, config.data_folder, cog_builder(config.discord, config.data_folder))


def _matrix(config: Config) -> "MatrixAdapter":
    from adapters.matrix.adapter import MatrixAdapter
    from adapters.matrix.session import BotProfile

    core = config.core
    language = "en" if core.language == "auto" else core.language
    return MatrixAdapter(config.matrix, config.data_folder, BotProfile(core.name, core.command_prefix, language))

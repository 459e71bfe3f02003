"""Extension for an existing discord.py bot: opens Hearth with the config it finds and adds its cogs to the bot.

Bots load it through `adapters.discord.extension`, which reports files of the bot that shadow Hearth's packages.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.discord.connection.session import AnyBot
from adapters.discord.embedded import EmbeddedCog
from adapters.discord.platform import DISCORD
from bot.config.loading import InvalidConfig, find_config, load_config
from bot.config.schema import Config
from bot.core.ports import Inbox
from bot.daemon import run_daemon

log = logging.getLogger(__name__)


async def setup(bot: AnyBot) -> None:
    """Begin to open Hearth in a bot; a config with faults is logged, and the bot continues without it."""
    try:
        config = load_config(find_config(None, os.environ))
    except InvalidConfig as faulty:
        log.error("Could not load Hearth into this bot, its config has faults:\n%s", faulty)
        return
    await bot.add_cog(
        EmbeddedCog(bot, config.platform_settings(DISCORD), config.data_folder, lambda: _open_core(config))
    )


async def teardown(bot: AnyBot) -> None:
    """Close Hearth; the bot stays as it was before."""
    await bot.remove_cog(EmbeddedCog.__cog_name__)


@asynccontextmanager
async def _open_core(config: Config) -> AsyncIterator[Inbox]:
    async with run_daemon(config, serve_http=True) as daemon:
        yield daemon.app.inbox

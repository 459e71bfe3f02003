"""Runs Hearth inside an existing bot: adds its cogs once the core is up, removes them on shutdown or failure."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from discord.ext import commands

from adapters.discord.composition import cog_builder
from adapters.discord.connection.session import AnyBot
from adapters.discord.incoming.cog import HearthCog
from adapters.discord.outgoing.rate_limits import DiscordRateLimits
from adapters.discord.settings import DiscordSettings
from bot.core.ports import Inbox

log = logging.getLogger(__name__)

OpenCore = Callable[[], AbstractAsyncContextManager[Inbox]]
"""Opens the core for as long as its context lasts; its errors are sentences for the admin."""


class EmbeddedCog(commands.Cog, name="Hearth guest"):
    """Opens the core in a task of its own, because a model takes longer to load than a bot can wait.

    Errors are logged; the bot continues without Hearth.
    """

    def __init__(self, bot: AnyBot, settings: DiscordSettings, folder: Path, open_core: OpenCore) -> None:
        self._bot = bot
        self._settings = settings
        self._folder = folder
        self._open_core = open_core
        self._cogs: list[commands.Cog] = []
        self._task: asyncio.Task[None] | None = None

    async def cog_load(self) -> None:
        """Begin to open the core."""
        self._task = asyncio.create_task(self._run(), name="hearth")
        self._task.add_done_callback(_log_failure)

    async def cog_unload(self) -> None:
        """Let running answers end, close the core, and leave the bot as it was."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            async with self._open_core() as inbox:
                await self._add_cogs(inbox)
                await asyncio.Event().wait()
        finally:  # after the core, so that running answers still reach Discord
            await self._remove_cogs()

    async def _add_cogs(self, inbox: Inbox) -> None:
        replies, cogs = cog_builder(self._settings, self._folder)(self._bot, inbox, DiscordRateLimits())
        for cog in (HearthCog(self._bot, self._settings, inbox, replies, self._folder), *cogs):
            await self._bot.add_cog(cog)
            self._cogs.append(cog)
        log.info("Added Hearth to the bot.")

    async def _remove_cogs(self) -> None:
        while self._cogs:
            await self._bot.remove_cog(self._cogs.pop().qualified_name)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error(
            "Could not run Hearth in this bot, which goes on without it: %s", _error_sentence(error), exc_info=error
        )


def _error_sentence(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return " ".join(_error_sentence(inner) for inner in error.exceptions)
    return str(error)

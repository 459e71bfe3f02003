"""Typing indicator of one reply on Discord, renewed for as long as it takes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from adapters.delivery.errors import TransientFailure
from adapters.discord.limits import TYPING_LASTS_S
from bot.core.errors import ReplyFailed

log = logging.getLogger(__name__)

RENEW_EVERY_S = TYPING_LASTS_S - 2
MAX_TYPING_S = 900.0
"""Typing of a reply that never ends is shown no longer than this."""


class DiscordTypingIndicator:
    """Typing in one channel. A failure to show it fails no answer: the answer itself runs into the same error."""

    def __init__(self, send_typing: Callable[[], Awaitable[None]]) -> None:
        self._send_typing = send_typing
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Show it until `stop`."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep_typing())

    def stop(self) -> None:
        """Let it fade."""
        if self._task is not None:
            self._task.cancel()

    async def _keep_typing(self) -> None:
        try:
            async with asyncio.timeout(MAX_TYPING_S):
                while True:
                    await self._send_once()
                    await asyncio.sleep(RENEW_EVERY_S)
        except (ReplyFailed, TimeoutError) as error:
            log.debug("Stopped showing typing: %s", error)

    async def _send_once(self) -> None:
        try:
            await self._send_typing()
        except TransientFailure as error:
            log.debug("Could not show typing this time: %s", error)

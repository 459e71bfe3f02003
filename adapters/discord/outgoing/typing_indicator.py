"""Shows that an answer is being written, for as long as it takes."""

import asyncio
import logging

from adapters.discord.limits import TYPING_LASTS_S
from adapters.discord.reply_transport import ReplyTransport, TransientFailure
from bot.core.errors import ReplyFailed

log = logging.getLogger(__name__)

RENEW_EVERY_S = TYPING_LASTS_S - 2
MAX_TYPING_S = 900.0
"""An answer that nobody ends shows typing no longer than this."""


class DiscordTypingIndicator:
    """Typing in one channel. That it cannot be shown fails no answer: the answer itself will tell."""

    def __init__(self, channel: ReplyTransport) -> None:
        self._transport = channel
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Show it from now on."""
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
            log.debug("Typing is shown no longer: %s", error)

    async def _send_once(self) -> None:
        try:
            await self._transport.send_typing()
        except TransientFailure as error:
            log.debug("Typing is not shown this time: %s", error)

"""Direct messages about what cannot be said in a channel: one a while for each person, none where they are refused."""

import logging
import time
from collections.abc import Callable

import discord

from adapters.delivery.errors import TransientFailure
from adapters.discord.failures import RequestRefused, translate_errors
from adapters.discord.limits import DIRECT_MESSAGES_CLOSED
from adapters.discord.outgoing.transport import NO_MENTIONS
from adapters.storage.bounded_dict import put_bounded

log = logging.getLogger(__name__)

NOTICE_PAUSE_S = 600.0
"""The least time between two such messages to one person: the same fault meets each of their questions."""

CLOSED_PAUSE_S = 24 * 3600.0
"""The time for which a person who accepts no direct messages is left alone: refused requests count against the bot."""

PEOPLE_KEPT = 1000


class DirectNotices:
    """Sends notices and remembers whom, in memory only."""

    def __init__(self, bot: discord.Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._bot = bot
        self._clock = clock
        self._quiet_until: dict[int, float] = {}

    async def send(self, user_id: int, sentence: str) -> None:
        """Send a sentence to a person unless they had one lately; a failure is logged."""
        now = self._clock()
        if now < self._quiet_until.get(user_id, 0.0):
            return
        self._be_quiet(user_id, now + NOTICE_PAUSE_S)  # before the request: others may come meanwhile
        try:
            with translate_errors():
                channel = await self._bot.create_dm(discord.Object(user_id))
                await channel.send(sentence, allowed_mentions=NO_MENTIONS)
        except RequestRefused as error:
            if error.code == DIRECT_MESSAGES_CLOSED:
                self._be_quiet(user_id, now + CLOSED_PAUSE_S)
            log.info("Could not send a direct message to %d: %s", user_id, error)
        except TransientFailure as error:
            log.info("Could not send a direct message to %d: %s", user_id, error)

    def _be_quiet(self, user_id: int, until: float) -> None:
        put_bounded(self._quiet_until, user_id, until, PEOPLE_KEPT)

"""Listens to the homeserver for as long as it takes our token: asks, waits when that fails, and asks again."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from adapters.delivery.errors import TransientFailure
from adapters.matrix.api.failures import as_admin_error
from adapters.matrix.events import SyncResponse
from adapters.matrix.homeserver import Homeserver, LoggedOut, RequestRefused
from adapters.matrix.retry import backoff_s

log = logging.getLogger(__name__)

POLL_S = 30.0
"""How long the homeserver waits for news before it says that there are none."""

FIRST_SYNC_S = 300.0
"""The longest that the first answer of a process may take: the server may have to collect much."""

LIVE_S = 60.0
"""The shortest silence after which what comes counts as missed."""

AT_ONCE_S = 0.5
IDLE_S = 1.0
"""The pause after an answer at once that told nothing new: a server that does not wait is not asked all the time."""

TakeSync = Callable[[SyncResponse, bool], Awaitable[None]]
"""What is done with news; whether we were behind says that messages in them may be old."""


@dataclass(slots=True)
class SyncLoop:
    """Where the loop stands. `missed_after_s`: after so long without an answer what comes counts as missed."""

    homeserver: Homeserver
    token: str
    take_sync: TakeSync
    request_timeout_s: float
    missed_after_s: float
    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    last_sync_at: float | None = None

    async def run(self) -> NoReturn:
        """Hand on what happens until cancelled. Raises MatrixUnusable when the account can no longer be used."""
        while True:
            try:
                await self._sync_once()
            except (TransientFailure, TimeoutError) as error:
                await self._back_off(error)
            except RequestRefused as error:
                if (reason := as_admin_error(error)) is not error:
                    raise reason from error
                self._reset_token(error)
                await self._back_off(error)
            except LoggedOut as error:
                raise as_admin_error(error) from error

    async def _sync_once(self) -> None:
        first = self.last_sync_at is None
        poll_s = 0.0 if first else POLL_S
        asked_at = self.clock()
        async with asyncio.timeout(FIRST_SYNC_S if first else poll_s + self.request_timeout_s):
            news = await self.homeserver.sync(self.token, poll_s)
        now = self.clock()
        behind = self.last_sync_at is None or now - self.last_sync_at > max(self.missed_after_s, LIVE_S)
        if self.failures:
            log.info("The homeserver answers again.")
        idle = not first and news.token == self.token and now - asked_at < AT_ONCE_S
        await self.take_sync(news, behind)
        self.failures, self.last_sync_at, self.token = 0, self.clock(), news.token
        if idle:
            await asyncio.sleep(IDLE_S)

    async def _back_off(self, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:  # once: an outage of an hour is one thing to tell
            said = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
            log.warning("The homeserver cannot be used, trying again until it can: %s", said)
        await asyncio.sleep(backoff_s(self.failures, error))

    def _reset_token(self, error: RequestRefused) -> None:
        """A server that was put back to an older state does not know our token; what each room showed last is known."""
        if error.status == 400 and self.token:
            log.warning("The homeserver does not know where we were, so everything is looked at again: %s", error)
            self.token, self.last_sync_at = "", None

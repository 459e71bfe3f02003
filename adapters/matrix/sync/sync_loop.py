"""The sync loop: long-polls the homeserver, and backs off after failures, until the account is unusable."""

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
"""How long the homeserver waits for events before it returns an empty response."""

FIRST_SYNC_S = 300.0
"""Time limit for the first response of a process, which may be large."""

LIVE_S = 60.0
"""The shortest time without a response after which events count as missed."""

AT_ONCE_S = 0.5
IDLE_S = 1.0
"""Pause after an immediate empty response: some servers do not wait, and must not be polled in a tight loop."""

TakeSync = Callable[[SyncResponse, bool], Awaitable[None]]
"""Handles a response; the flag is true after a gap, so that its messages may be old."""


@dataclass(slots=True)
class SyncLoop:
    """State of the loop. `missed_after_s`: time without a response after which events count as missed."""

    homeserver: Homeserver
    token: str
    take_sync: TakeSync
    request_timeout_s: float
    missed_after_s: float
    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    last_sync_at: float | None = None

    async def run(self) -> NoReturn:
        """Pass responses to `take_sync` until cancelled. Raises MatrixUnusable when the account is lost."""
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
        started_at = self.clock()
        async with asyncio.timeout(FIRST_SYNC_S if first else poll_s + self.request_timeout_s):
            response = await self.homeserver.sync(self.token, poll_s)
        now = self.clock()
        is_behind = self.last_sync_at is None or now - self.last_sync_at > max(self.missed_after_s, LIVE_S)
        if self.failures:
            log.info("Reached the homeserver again.")
        is_idle = not first and response.token == self.token and now - started_at < AT_ONCE_S
        await self.take_sync(response, is_behind)
        self.failures, self.last_sync_at, self.token = 0, self.clock(), response.token
        if is_idle:
            await asyncio.sleep(IDLE_S)

    async def _back_off(self, error: Exception) -> None:
        self.failures += 1
        if self.failures == 1:  # log an outage once
            reason = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
            log.warning("Could not sync with the homeserver, trying until it answers: %s", reason)
        await asyncio.sleep(backoff_s(self.failures, error))

    def _reset_token(self, error: RequestRefused) -> None:
        """Start over without the token, which a server restored from a backup rejects; read markers still apply."""
        if error.status == 400 and self.token:
            log.warning("Starting over, because the homeserver rejected the sync token: %s", error)
            self.token, self.last_sync_at = "", None

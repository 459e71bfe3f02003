"""Entry point for verification events: queues the admins' steps, declines or drops other users'."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from functools import partial

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.identity_service import IdentityService
from adapters.matrix.events import Event, ToDevice
from adapters.matrix.homeserver import DeviceSigner, Homeserver, LoggedOut, RequestRefused
from adapters.matrix.verification.messages import (
    FlowId,
    VerificationStep,
    is_verification,
    step_from_room,
    step_from_to_device,
)
from adapters.matrix.verification.registry import TIMEOUT_S, VerificationRegistry
from adapters.matrix.verification.sender import DirectRoom, VerificationSender, WaitForTurn
from adapters.storage.bounded_dict import put_bounded
from bot.core.texts import Language

log = logging.getLogger(__name__)

MAX_QUEUED_STEPS = 64
DECLINE_INTERVAL_S = 60.0
"""Minimum time between declined requests of one user who is no admin; the rest run into their own time limit."""
DECLINES_PER_INTERVAL = 20
"""Declined requests of all users together, so that a crowd of them costs little."""
EXPLAIN_INTERVAL_S = 86_400.0
"""Minimum time between sentences in the chat that tell one user why their requests are declined."""
DECLINED_KEPT = 1000


class VerificationService:
    """Sorts events at once; a task of its own processes them in order, so that sync does not wait for it."""

    def __init__(
        self,
        homeserver: Homeserver,
        keys: DeviceSigner,
        identity: IdentityService,
        admins: Collection[str],
        *,
        language: Language = "en",
        direct_room: DirectRoom = lambda user_id: "",
        wait_for_turn: WaitForTurn | None = None,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`direct_room`: the room of our direct chat with a user, empty when there is none. `wait_for_turn`: waits
        until the account may send another event.
        """
        self._own_id = homeserver.user_id
        self._admins = frozenset(admins)
        self._timeout_s = timeout_s
        self._clock = clock
        self._sender = VerificationSender(homeserver, language, direct_room, wait_for_turn)
        self._registry = VerificationRegistry(
            homeserver, keys, identity, self._sender, on_timeout=self._enqueue_expiry, timeout_s=timeout_s
        )
        self._queue: deque[Callable[[], Awaitable[None]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._declined_at: dict[str, float] = {}
        self._explained_at: dict[str, float] = {}

    @property
    def open_count(self) -> int:
        """Number of verifications in progress."""
        return self._registry.open_count

    async def take_to_device(self, message: ToDevice) -> None:
        """Queue a to-device message if it is a step. Returns at once and raises nothing."""
        step = step_from_to_device(message)
        if step is not None:
            self._admit_step(step)

    async def take_room_event(self, event: Event) -> bool:
        """Queue an event of a room if it is a step. Returns at once; True for events of any verification."""
        if not is_verification(event):
            return False
        step = step_from_room(event, self._own_id)
        is_old = event.age_ms is not None and event.age_ms > 1000 * self._timeout_s
        if step is not None and not (is_old and step.kind == "request"):
            self._admit_step(step)
        return True

    async def wait_idle(self) -> None:
        """Wait until all queued steps have been processed."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Drop all verifications; the other sides run into their own time limits."""
        self._registry.close()
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _admit_step(self, step: VerificationStep) -> None:
        """Queue an admin's step, or at a limited rate the decline of another user's request."""
        if step.flow.user_id in self._admins:
            self._enqueue(partial(self._registry.take_step, step))
        elif step.kind == "request" and self._may_decline(step.flow.user_id):
            log.info("Declined a verification request of %s, who is not an admin.", step.flow.user_id)
            self._enqueue(partial(self._decline, step))

    def _may_decline(self, user_id: str) -> bool:
        """Whether one more request of this user may be declined now, which is noted."""
        now = self._clock()
        of_late = [at for at in self._declined_at.values() if now - at < DECLINE_INTERVAL_S]
        at = self._declined_at.get(user_id)
        if len(of_late) >= DECLINES_PER_INTERVAL or (at is not None and now - at < DECLINE_INTERVAL_S):
            return False
        put_bounded(self._declined_at, user_id, now, DECLINED_KEPT)
        return True

    async def _decline(self, step: VerificationStep) -> None:
        """Decline a request of a user who is no admin, and say why, once a day."""
        await self._registry.decline_step(step, "m.user")
        now, at = self._clock(), self._explained_at.get(step.flow.user_id)
        if (at is None or now - at >= EXPLAIN_INTERVAL_S) and await self._sender.send_declined(step.flow):
            put_bounded(self._explained_at, step.flow.user_id, now, DECLINED_KEPT)

    def _enqueue_expiry(self, flow: FlowId) -> None:
        self._enqueue(partial(self._registry.expire_flow, flow))

    def _enqueue(self, step: Callable[[], Awaitable[None]]) -> None:
        if len(self._queue) >= MAX_QUEUED_STEPS:
            log.warning("Dropped a verification step: too many at once.")
            return
        self._queue.append(step)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_queue(), name="matrix-verification")

    async def _run_queue(self) -> None:
        while self._queue:
            try:
                await self._queue.popleft()()
            except (TransientFailure, RequestRefused, LoggedOut) as error:
                log.warning("Could not continue a verification: %s", error)

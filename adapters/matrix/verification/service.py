"""Sorts what comes of verifications: admins' steps are answered one after another, nobody else's is kept."""

import asyncio
import logging
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
from bot.core.texts import Language

log = logging.getLogger(__name__)

MAX_QUEUED_STEPS = 64
DECLINED_EVERY_S = 60.0
"""Other people's requests are declined this often in all; the others run into their own time limit."""


class VerificationService:
    """What comes is only sorted at once; a task of its own answers, in order, so that nothing else waits for that."""

    def __init__(
        self,
        wire: Homeserver,
        keys: DeviceSigner,
        own: IdentityService,
        admins: Collection[str],
        *,
        language: Language = "en",
        direct_room: DirectRoom = lambda user_id: "",
        turn: WaitForTurn | None = None,
        lasts_s: float = TIMEOUT_S,
    ) -> None:
        """`direct_room`: the room of our direct chat with a user, empty when there is none. `turn`: waits until the
        account may send another event.
        """
        self._own_id = wire.user_id
        self._admins = frozenset(admins)
        self._lasts_s = lasts_s
        post = VerificationSender(wire, language, direct_room, turn)
        self._registry = VerificationRegistry(wire, keys, own, post, overdue=self._enqueue_expiry, lasts_s=lasts_s)
        self._queue: deque[Callable[[], Awaitable[None]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._declined_at = float("-inf")

    @property
    def open_count(self) -> int:
        """How many verifications are under way."""
        return self._registry.open_count

    async def take_to_device(self, message: ToDevice) -> None:
        """Take note of a message to this device. Returns at once and raises nothing."""
        step = step_from_to_device(message)
        if step is not None:
            self._admit_step(step)

    async def take_room_event(self, event: Event) -> bool:
        """Take note of an event of a room. Returns at once: True when it belongs to a verification, ours or not."""
        if not is_verification(event):
            return False
        step = step_from_room(event, self._own_id)
        is_old = event.age_ms is not None and event.age_ms > 1000 * self._lasts_s
        if step is not None and not (is_old and step.kind == "request"):
            self._admit_step(step)
        return True

    async def wait_idle(self) -> None:
        """Wait until everything that came so far has been answered."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Forget everything under way; the other sides run into their own time limits."""
        self._registry.close()
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _admit_step(self, step: VerificationStep) -> None:
        """Let an admin's step through, and of the others' requests a few, to be declined."""
        if step.flow.user_id in self._admins:
            self._enqueue(partial(self._registry.take_step, step))
        elif step.kind == "request" and self._may_decline():
            log.info("%s asked to verify Hearth and is no admin.", step.flow.user_id)
            self._enqueue(partial(self._registry.decline_step, step, "m.user"))

    def _may_decline(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._declined_at < DECLINED_EVERY_S:
            return False
        self._declined_at = now
        return True

    def _enqueue_expiry(self, place: FlowId) -> None:
        self._enqueue(partial(self._registry.expire_flow, place))

    def _enqueue(self, work: Callable[[], Awaitable[None]]) -> None:
        if len(self._queue) >= MAX_QUEUED_STEPS:
            log.warning("Too many steps of verifications at once; one was dropped.")
            return
        self._queue.append(work)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run_queue(), name="matrix-verification")

    async def _run_queue(self) -> None:
        while self._queue:
            try:
                await self._queue.popleft()()
            except (TransientFailure, RequestRefused, LoggedOut) as error:
                log.warning("A verification could not go on: %s", error)

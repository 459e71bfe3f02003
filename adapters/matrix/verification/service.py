"""Sorts what comes of verifications: admins' steps are answered one after another, nobody else's is kept."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from functools import partial

from adapters.matrix.account.identity_service import OwnKeys
from adapters.matrix.events import Event, ToDevice
from adapters.matrix.homeserver import Keys, LoggedOut, Refused, Unsettled, Wire
from adapters.matrix.verification.messages import Place, Step, is_verification, step_in_room, step_to_device
from adapters.matrix.verification.registry import LASTS_S, Verifications
from adapters.matrix.verification.sender import DirectRoom, Post, Turn
from bot.core.texts import Language

log = logging.getLogger(__name__)

STEPS_WAITING = 64
DECLINED_EVERY_S = 60.0
"""Other people's requests are declined this often in all; the others run into their own time limit."""


class VerificationDesk:
    """What comes is only sorted at once; a task of its own answers, in order, so that nothing else waits for that."""

    def __init__(
        self,
        wire: Wire,
        keys: Keys,
        own: OwnKeys,
        admins: Collection[str],
        *,
        language: Language = "en",
        direct_room: DirectRoom = lambda user_id: "",
        turn: Turn | None = None,
        lasts_s: float = LASTS_S,
    ) -> None:
        """`direct_room`: the room of our direct chat with a user, empty when there is none. `turn`: waits until the
        account may send another event.
        """
        self._own_id = wire.user_id
        self._admins = frozenset(admins)
        self._lasts_s = lasts_s
        post = Post(wire, language, direct_room, turn)
        self._verifications = Verifications(wire, keys, own, post, overdue=self._overdue, lasts_s=lasts_s)
        self._todo: deque[Callable[[], Awaitable[None]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._declined_at = float("-inf")

    @property
    def open(self) -> int:
        """How many verifications are under way."""
        return self._verifications.open

    async def to_device(self, message: ToDevice) -> None:
        """Take note of a message to this device. Returns at once and raises nothing."""
        step = step_to_device(message)
        if step is not None:
            self._sort(step)

    async def room_event(self, event: Event) -> bool:
        """Take note of an event of a room. Returns at once: True when it belongs to a verification, ours or not."""
        if not is_verification(event):
            return False
        step = step_in_room(event, self._own_id)
        is_old = event.age_ms is not None and event.age_ms > 1000 * self._lasts_s
        if step is not None and not (is_old and step.kind == "request"):
            self._sort(step)
        return True

    async def settled(self) -> None:
        """Wait until everything that came so far has been answered."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Forget everything under way; the other sides run into their own time limits."""
        self._verifications.close()
        self._todo.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _sort(self, step: Step) -> None:
        """Let an admin's step through, and of the others' requests a few, to be declined."""
        if step.place.user_id in self._admins:
            self._later(partial(self._verifications.take, step))
        elif step.kind == "request" and self._may_decline():
            log.info("%s asked to verify Hearth and is no admin.", step.place.user_id)
            self._later(partial(self._verifications.decline, step, "m.user"))

    def _may_decline(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._declined_at < DECLINED_EVERY_S:
            return False
        self._declined_at = now
        return True

    def _overdue(self, place: Place) -> None:
        self._later(partial(self._verifications.expire, place))

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        if len(self._todo) >= STEPS_WAITING:
            log.warning("Too many steps of verifications at once; one was dropped.")
            return
        self._todo.append(work)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="matrix-verification")

    async def _work(self) -> None:
        while self._todo:
            try:
                await self._todo.popleft()()
            except (Unsettled, Refused, LoggedOut) as error:
                log.warning("A verification could not go on: %s", error)

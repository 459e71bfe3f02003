"""The verifications under way, bounded in number and time: begins, advances, expires and remembers them."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from adapters.matrix.account.identity_service import OwnKeys
from adapters.matrix.homeserver import Keys, LoggedOut, MatrixUnusable, Refused, Server, Unsettled
from adapters.matrix.verification.messages import Place, Step, device_of, offers
from adapters.matrix.verification.sas import METHOD, Answer, Ours, Verification, cancel
from adapters.matrix.verification.sender import Post
from adapters.matrix.verification.user_keys import keys_of

log = logging.getLogger(__name__)

LASTS_S = 600.0
"""Ten minutes from the request on (specification, "Key verification framework")."""
OPEN, OPEN_EACH = 8, 2
"""Verifications under way at once: in all, and of one person."""
OVER_KEPT = 64
"""Verifications that are over and of which a late or repeated event is known again."""


@dataclass(frozen=True, slots=True)
class _Entry:
    verification: Verification
    timer: asyncio.TimerHandle


class Verifications:
    """Every method may raise Unsettled, Refused and LoggedOut; the verification is then forgotten."""

    def __init__(
        self,
        server: Server,
        keys: Keys,
        own: OwnKeys,
        post: Post,
        *,
        overdue: Callable[[Place], None],
        lasts_s: float = LASTS_S,
    ) -> None:
        """`overdue` is called when a verification has taken too long, and is to see that `expire` is."""
        self._server = server
        self._keys = keys
        self._own = own
        self._post = post
        self._overdue = overdue
        self._lasts_s = lasts_s
        self._open: dict[Place, _Entry] = {}
        self._over: deque[Place] = deque(maxlen=OVER_KEPT)

    @property
    def open(self) -> int:
        """How many are under way."""
        return len(self._open)

    async def take(self, step: Step) -> None:
        """Answer a step of somebody who may verify us."""
        place = step.place
        if place in self._over:
            return
        entry = self._open.get(place)
        if entry is not None:
            wants_keys = step.kind == "mac"
            known = await self._keys_of(place, entry.verification) if wants_keys else {}
            await self._answered(place, entry.verification.take(step.kind, step.content, known))
        elif step.kind == "request" or (step.kind == "start" and not place.room_id):
            await self._begin(step)
        elif not place.room_id and step.kind not in ("cancel", "done"):
            # In a room it may well be a verification among others.
            await self.decline(step, "m.unknown_transaction")

    async def decline(self, step: Step, code: str) -> None:
        """End a verification that never was one of ours."""
        try:
            device_id = device_of(step.content)
        except ValueError:
            device_id = "*"  # all of their devices (specification, "Send-to-device messaging")
        self._over.append(step.place)
        await self._post.step(step.place, device_id, *cancel(code))

    async def expire(self, place: Place) -> None:
        """End a verification that has taken too long."""
        if place in self._open:
            await self._answered(place, self._open[place].verification.give_up("m.timeout"))

    def close(self) -> None:
        """Forget all of them, without a word."""
        for place in list(self._open):
            self._forget(place)

    async def _begin(self, step: Step) -> None:
        """A request opens a verification, and between devices so does a start (older clients)."""
        requested = step.kind == "request"
        try:
            device_id = device_of(step.content)
        except ValueError:
            log.info("%s sent a verification that names no device.", step.place.user_id)
            return
        if requested and not offers(step.content, "methods", METHOD):
            await self.decline(step, "m.unknown_method")
        elif await self._has_room(step):
            verification = Verification(self._ours(), step.place, device_id, requested=requested)
            timer = asyncio.get_running_loop().call_later(self._lasts_s, self._overdue, step.place)
            self._open[step.place] = _Entry(verification, timer)
            log.info("%s verifies Hearth from device %s.", step.place.user_id, device_id)
            answer = verification.ready() if requested else verification.take(step.kind, step.content)
            await self._answered(step.place, answer)

    async def _has_room(self, step: Step) -> bool:
        """A person's newest requests count; when too many people ask at once, the newest is to ask again."""
        same = [place for place in self._open if place.user_id == step.place.user_id]
        if len(same) >= OPEN_EACH:
            await self._answered(same[0], self._open[same[0]].verification.give_up("m.user"))
        elif len(self._open) >= OPEN:
            await self.decline(step, "m.user")
            return False
        return True

    def _ours(self) -> Ours:
        """Our keys; the master key only while the homeserver shows it as ours."""
        standing = self._own.standing
        master = self._own.identity.master.public if standing is not None and standing.is_signed else ""
        return Ours(self._server.user_id, self._server.device_id, self._keys.fingerprint, master)

    async def _keys_of(self, place: Place, verification: Verification) -> dict[str, str]:
        try:
            return await keys_of(self._server, place.user_id, verification.device_id)
        except (Unsettled, Refused, LoggedOut):
            await self._answered(place, verification.give_up("m.user"))
            raise

    async def _answered(self, place: Place, answer: Answer) -> None:
        """Send what a step leads to."""
        verification = self._open[place].verification
        if verification.is_over:
            self._forget(place)
        try:
            for kind, content in answer.steps:
                if kind == "cancel":
                    log.info("A verification with %s ends: %s", place.user_id, content["reason"])
                await self._post.step(place, verification.device_id, kind, content)
            if answer.shown is not None:
                await self._post.show(place, answer.shown)
        except (Unsettled, Refused, LoggedOut):
            self._forget(place)
            raise
        if answer.verified:
            await self._remember(place.user_id)

    async def _remember(self, user_id: str) -> None:
        log.info("%s has verified Hearth.", user_id)
        try:
            await self._own.verified_by(user_id)
        except MatrixUnusable as error:
            log.warning("That %s has verified Hearth is not kept: %s", user_id, error)

    def _forget(self, place: Place) -> None:
        entry = self._open.pop(place, None)
        if entry is not None:
            entry.timer.cancel()
            self._over.append(place)

"""The verifications under way, bounded in number and time: begins, advances, expires and remembers them."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from adapters.delivery.errors import TransientFailure
from adapters.matrix.account.identity_service import IdentityService
from adapters.matrix.homeserver import DeviceSigner, LoggedOut, MatrixApi, MatrixUnusable, RequestRefused
from adapters.matrix.verification.messages import FlowId, VerificationStep, list_contains, require_device
from adapters.matrix.verification.sas import METHOD, OwnDeviceKeys, SasVerification, StepResult, cancel_step
from adapters.matrix.verification.sender import VerificationSender
from adapters.matrix.verification.user_keys import fetch_user_keys

log = logging.getLogger(__name__)

TIMEOUT_S = 600.0
"""Ten minutes from the request on (specification, "Key verification framework")."""
OPEN, OPEN_EACH = 8, 2
"""Verifications under way at once: in all, and of one person."""
OVER_KEPT = 64
"""Verifications that are over and of which a late or repeated event is known again."""


@dataclass(frozen=True, slots=True)
class _Entry:
    verification: SasVerification
    timer: asyncio.TimerHandle


class VerificationRegistry:
    """Every method may raise Unsettled, Refused and LoggedOut; the verification is then forgotten."""

    def __init__(
        self,
        server: MatrixApi,
        keys: DeviceSigner,
        own: IdentityService,
        post: VerificationSender,
        *,
        overdue: Callable[[FlowId], None],
        lasts_s: float = TIMEOUT_S,
    ) -> None:
        """`overdue` is called when a verification has taken too long, and is to see that `expire_flow` is."""
        self._server = server
        self._keys = keys
        self._identity = own
        self._sender = post
        self._overdue = overdue
        self._lasts_s = lasts_s
        self._open: dict[FlowId, _Entry] = {}
        self._over: deque[FlowId] = deque(maxlen=OVER_KEPT)

    @property
    def open_count(self) -> int:
        """How many are under way."""
        return len(self._open)

    async def take_step(self, step: VerificationStep) -> None:
        """Answer a step of somebody who may verify us."""
        place = step.flow
        if place in self._over:
            return
        entry = self._open.get(place)
        if entry is not None:
            wants_keys = step.kind == "mac"
            known = await self._fetch_keys(place, entry.verification) if wants_keys else {}
            await self._send_result(place, entry.verification.take_step(step.kind, step.content, known))
        elif step.kind == "request" or (step.kind == "start" and not place.room_id):
            await self._begin(step)
        elif not place.room_id and step.kind not in ("cancel", "done"):
            # In a room it may well be a verification among others.
            await self.decline_step(step, "m.unknown_transaction")

    async def decline_step(self, step: VerificationStep, code: str) -> None:
        """End a verification that never was one of ours."""
        try:
            device_id = require_device(step.content)
        except ValueError:
            device_id = "*"  # all of their devices (specification, "Send-to-device messaging")
        self._over.append(step.flow)
        await self._sender.send_step(step.flow, device_id, *cancel_step(code))

    async def expire_flow(self, place: FlowId) -> None:
        """End a verification that has taken too long."""
        if place in self._open:
            await self._send_result(place, self._open[place].verification.cancel_with("m.timeout"))

    def close(self) -> None:
        """Forget all of them, without a word."""
        for place in list(self._open):
            self._close_flow(place)

    async def _begin(self, step: VerificationStep) -> None:
        """A request opens a verification, and between devices so does a start (older clients)."""
        requested = step.kind == "request"
        try:
            device_id = require_device(step.content)
        except ValueError:
            log.info("%s sent a verification that names no device.", step.flow.user_id)
            return
        if requested and not list_contains(step.content, "methods", METHOD):
            await self.decline_step(step, "m.unknown_method")
        elif await self._make_room(step):
            verification = SasVerification(self._own_keys(), step.flow, device_id, requested=requested)
            timer = asyncio.get_running_loop().call_later(self._lasts_s, self._overdue, step.flow)
            self._open[step.flow] = _Entry(verification, timer)
            log.info("%s verifies Hearth from device %s.", step.flow.user_id, device_id)
            answer = verification.accept_request() if requested else verification.take_step(step.kind, step.content)
            await self._send_result(step.flow, answer)

    async def _make_room(self, step: VerificationStep) -> bool:
        """A person's newest requests count; when too many people ask at once, the newest is to ask again."""
        same = [place for place in self._open if place.user_id == step.flow.user_id]
        if len(same) >= OPEN_EACH:
            await self._send_result(same[0], self._open[same[0]].verification.cancel_with("m.user"))
        elif len(self._open) >= OPEN:
            await self.decline_step(step, "m.user")
            return False
        return True

    def _own_keys(self) -> OwnDeviceKeys:
        """Our keys; the master key only while the homeserver shows it as ours."""
        standing = self._identity.status
        master = self._identity.identity.master.public_key if standing is not None and standing.is_signed else ""
        return OwnDeviceKeys(self._server.user_id, self._server.device_id, self._keys.fingerprint, master)

    async def _fetch_keys(self, place: FlowId, verification: SasVerification) -> dict[str, str]:
        try:
            return await fetch_user_keys(self._server, place.user_id, verification.device_id)
        except (TransientFailure, RequestRefused, LoggedOut):
            await self._send_result(place, verification.cancel_with("m.user"))
            raise

    async def _send_result(self, place: FlowId, answer: StepResult) -> None:
        """Send what a step leads to."""
        verification = self._open[place].verification
        if verification.is_over:
            self._close_flow(place)
        try:
            for kind, content in answer.steps:
                if kind == "cancel":
                    log.info("A verification with %s ends: %s", place.user_id, content["reason"])
                await self._sender.send_step(place, verification.device_id, kind, content)
            if answer.short_auth_string is not None:
                await self._sender.send_comparison(place, answer.short_auth_string)
        except (TransientFailure, RequestRefused, LoggedOut):
            self._close_flow(place)
            raise
        if answer.verified:
            await self._store_verifier(place.user_id)

    async def _store_verifier(self, user_id: str) -> None:
        log.info("%s has verified Hearth.", user_id)
        try:
            await self._identity.add_verifier(user_id)
        except MatrixUnusable as error:
            log.warning("That %s has verified Hearth is not kept: %s", user_id, error)

    def _close_flow(self, place: FlowId) -> None:
        entry = self._open.pop(place, None)
        if entry is not None:
            entry.timer.cancel()
            self._over.append(place)

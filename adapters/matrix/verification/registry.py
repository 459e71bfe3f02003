"""Registry of the verifications in progress, bounded in number and time, and of those that recently ended."""

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
MAX_OPEN, MAX_OPEN_PER_USER = 8, 2
"""Concurrent verifications: in total, and of one user."""
MAX_ENDED = 64
"""Ended verifications kept to recognize their late or repeated events."""


@dataclass(frozen=True, slots=True)
class _Entry:
    verification: SasVerification
    timer: asyncio.TimerHandle


class VerificationRegistry:
    """The verifications by flow. Methods raise TransientFailure, RequestRefused, LoggedOut and drop the flow."""

    def __init__(
        self,
        server: MatrixApi,
        keys: DeviceSigner,
        identity: IdentityService,
        sender: VerificationSender,
        *,
        on_timeout: Callable[[FlowId], None],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`on_timeout` is called when a verification has taken too long, and must schedule `expire_flow`."""
        self._server = server
        self._keys = keys
        self._identity = identity
        self._sender = sender
        self._on_timeout = on_timeout
        self._timeout_s = timeout_s
        self._open: dict[FlowId, _Entry] = {}
        self._ended: deque[FlowId] = deque(maxlen=MAX_ENDED)

    @property
    def open_count(self) -> int:
        """Number of verifications in progress."""
        return len(self._open)

    async def take_step(self, step: VerificationStep) -> None:
        """Process a step of a user who may verify us."""
        flow = step.flow
        if flow in self._ended:
            return
        entry = self._open.get(flow)
        if entry is not None:
            wants_keys = step.kind == "mac"
            known = await self._fetch_keys(flow, entry.verification) if wants_keys else {}
            await self._send_result(flow, entry.verification.take_step(step.kind, step.content, known))
        elif step.kind == "request" or (step.kind == "start" and not flow.room_id):
            await self._begin(step)
        elif not flow.room_id and step.kind not in ("cancel", "done"):
            # In a room it may be a verification between other users.
            await self.decline_step(step, "m.unknown_transaction")

    async def decline_step(self, step: VerificationStep, code: str) -> None:
        """Cancel a verification that was never accepted."""
        try:
            device_id = require_device(step.content)
        except ValueError:
            device_id = "*"  # all of their devices (specification, "Send-to-device messaging")
        await self._sender.send_step(step.flow, device_id, *cancel_step(code))
        self._ended.append(step.flow)

    async def expire_flow(self, flow: FlowId) -> None:
        """Cancel a verification that has taken too long."""
        if flow in self._open:
            await self._send_result(flow, self._open[flow].verification.cancel_with("m.timeout"))

    def close(self) -> None:
        """Drop all verifications without sending anything."""
        for flow in list(self._open):
            self._close_flow(flow)

    async def _begin(self, step: VerificationStep) -> None:
        """Open a verification for a request or, to-device only, for a start (older clients)."""
        requested = step.kind == "request"
        try:
            device_id = require_device(step.content)
        except ValueError:
            log.info("Ignored a verification by %s that names no device.", step.flow.user_id)
            return
        if requested and not list_contains(step.content, "methods", METHOD):
            await self.decline_step(step, "m.unknown_method")
        elif await self._make_room(step):
            verification = SasVerification(self._own_keys(), step.flow, device_id, requested=requested)
            timer = asyncio.get_running_loop().call_later(self._timeout_s, self._on_timeout, step.flow)
            self._open[step.flow] = _Entry(verification, timer)
            log.info("Started a verification with %s, device %s.", step.flow.user_id, device_id)
            result = verification.accept_request() if requested else verification.take_step(step.kind, step.content)
            await self._send_result(step.flow, result)

    async def _make_room(self, step: VerificationStep) -> bool:
        """Cancel the oldest verification of a user over their limit; over the total limit decline the new one."""
        of_user = [flow for flow in self._open if flow.user_id == step.flow.user_id]
        if len(of_user) >= MAX_OPEN_PER_USER:
            await self._send_result(of_user[0], self._open[of_user[0]].verification.cancel_with("m.user"))
        elif len(self._open) >= MAX_OPEN:
            await self.decline_step(step, "m.user")
            return False
        return True

    def _own_keys(self) -> OwnDeviceKeys:
        """Our keys; the master key only while the homeserver confirms it as ours."""
        status = self._identity.status
        master = self._identity.identity.master.public_key if status is not None and status.is_signed else ""
        return OwnDeviceKeys(self._server.user_id, self._server.device_id, self._keys.fingerprint, master)

    async def _fetch_keys(self, flow: FlowId, verification: SasVerification) -> dict[str, str]:
        try:
            return await fetch_user_keys(self._server, flow.user_id, verification.device_id)
        except (TransientFailure, RequestRefused, LoggedOut):
            await self._send_result(flow, verification.cancel_with("m.user"))
            raise

    async def _send_result(self, flow: FlowId, result: StepResult) -> None:
        """Send the steps and the comparison that a step results in."""
        verification = self._open[flow].verification
        if verification.is_over:
            self._close_flow(flow)
        try:
            for kind, content in result.steps:
                if kind == "cancel":
                    log.info("Cancelled a verification with %s: %s", flow.user_id, content["reason"])
                await self._sender.send_step(flow, verification.device_id, kind, content)
            if result.short_auth_string is not None:
                await self._sender.send_comparison(flow, result.short_auth_string)
        except (TransientFailure, RequestRefused, LoggedOut):
            self._close_flow(flow)
            raise
        if result.verified:
            await self._store_verifier(flow.user_id)

    async def _store_verifier(self, user_id: str) -> None:
        log.info("%s has verified Hearth.", user_id)
        try:
            await self._identity.add_verifier(user_id)
        except MatrixUnusable as error:
            log.warning("Could not store that %s verified Hearth: %s", user_id, error)

    def _close_flow(self, flow: FlowId) -> None:
        entry = self._open.pop(flow, None)
        if entry is not None:
            entry.timer.cancel()
            self._ended.append(flow)

"""Notices to devices that get no room key, with the reason, so that their users see it in place of an empty error."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.delivery.errors import TransientFailure
from adapters.matrix.crypto.machine import OlmMachine
from adapters.matrix.crypto.own_device import MEGOLM
from adapters.matrix.crypto.to_device import DEVICES_PER_REQUEST, WITHHELD, to_device_path
from adapters.matrix.homeserver import MatrixApi, RequestRefused
from adapters.storage.bounded_dict import put_bounded

log = logging.getLogger(__name__)

NO_OLM, UNVERIFIED = "m.no_olm", "m.unverified"
REASONS: Mapping[str, str] = {
    NO_OLM: "The homeserver had no one-time key of this device.",
    UNVERIFIED: "This device is not verified by its owner.",
}
"""Codes of the client-server API, "Reporting that decryption keys are withheld"."""
TOLD_KEPT = 10_000

Device = tuple[str, str]


class WithheldKeys:
    """Tells each device once: that there is no session with it until there is one, other reasons for each key."""

    def __init__(self, machine: OlmMachine, server: MatrixApi) -> None:
        self._machine = machine
        self._server = server
        self._told: dict[tuple[Device, str], None] = {}

    def note_shared(self, devices: Iterable[Device]) -> None:
        """Note that devices have been given a key, so that there is a session with them."""
        for device in devices:
            self._told.pop((device, NO_OLM), None)

    async def report(self, room_id: str, session_id: str, without_session: set[Device], unsigned: set[Device]) -> None:
        """Report a room's key as withheld. A failure is only logged, and repeated with the next message."""
        common = {"algorithm": MEGOLM, "sender_key": self._machine.sender_key, "from_device": self._machine.device_id}
        named = {**common, "room_id": room_id, "session_id": session_id}
        try:
            await self._report(without_session, NO_OLM, NO_OLM, common)
            await self._report(unsigned, UNVERIFIED, session_id, named)
        except (TransientFailure, RequestRefused) as error:
            log.info("Could not report withheld keys: %s", error)

    async def _report(self, devices: set[Device], code: str, occasion: str, content: Mapping[str, Any]) -> None:
        untold = sorted(device for device in devices if (device, occasion) not in self._told)
        notice = {**content, "code": code, "reason": REASONS[code]}
        for start in range(0, len(untold), DEVICES_PER_REQUEST):
            part = untold[start : start + DEVICES_PER_REQUEST]
            messages: dict[str, dict[str, Any]] = {}
            for user, device in part:
                messages.setdefault(user, {})[device] = notice
            await self._server.call_api("PUT", to_device_path(WITHHELD), {"messages": messages})
            for user, device in part:
                log.info("Gave device %s of %s no room key: %s", device, user, REASONS[code])
                put_bounded(self._told, ((user, device), occasion), None, TOLD_KEPT)
